"""What the tests of children have them do."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import numpy as np

from trainer.errors import BadSetting


def double(argument: bytes) -> bytes:
    return argument * 2


def memory(argument: bytes) -> bytes:
    return b"x" * 2**30


def numpy_memory(argument: bytes) -> bytes:
    return np.zeros(2**30, np.uint8).tobytes()


def spin(argument: bytes) -> bytes:
    while True:
        pass


def sleep(argument: bytes) -> bytes:
    time.sleep(60)
    return b""


def segv(argument: bytes) -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return b""


def abort(argument: bytes) -> bytes:
    os.abort()


def refuse(argument: bytes) -> bytes:
    raise BadSetting("epochs is 0.", name="epochs")


def bug(argument: bytes) -> bytes:
    raise AssertionError


def start_another(argument: bytes) -> bytes:
    subprocess.run(["sleep", "600"], check=False)
    return b""
