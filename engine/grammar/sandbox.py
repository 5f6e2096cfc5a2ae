"""Compiles grammars first in a child process, which is killed if one takes too much time or memory.
A thread could not be stopped.

The child runs this module's `main`: it receives the tokenizer as a line of JSON and then one
grammar after the other, and answers each with a line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import queue
import resource
import select
import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from engine.child_process import start_module
from engine.errors import BadRow
from engine.grammar.grammars import Grammars

#: grammars that are tried at a time, each in a child of its own
NUM_CHILDREN = 2
_KEPT = 256
_START_S = 60.0
_MEMORY = 4 * 2**30


class GrammarSandbox:
    """Which grammars the engine may be given: it compiles them in its loop, where all others wait.

    Any thread may ask; so many grammars are tried at a time as there are children, and those that
    were sound lately are not tried again.
    """

    def __init__(
        self, tokenizer_json: str, end_ids: Sequence[int], *, cpu_s: float = 1.0, wall_s: float = 5
    ) -> None:
        """A grammar may take `cpu_s` of a processor; the child is given up after `wall_s`."""
        self._vocabulary = {"tokenizer": tokenizer_json, "end_ids": list(end_ids)}
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self._lock = threading.Lock()
        self._sound: OrderedDict[str, None] = OrderedDict()
        #: places for children; those that run are taken first
        self._places: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        for _ in range(NUM_CHILDREN):
            self._places.put(None)

    def check(self, grammar: str) -> None:
        """Raises BadRow with what is wrong with it."""
        if not grammar or self._is_sound(grammar):
            return
        child = self._places.get()
        try:
            child = child or self._start_child()
            answer = _ask(child, {"grammar": grammar}, self._wall_s)
            if answer is None:
                _end(child)
                child = None
        finally:
            self._places.put(child)
        self._judge(answer)
        with self._lock:
            self._sound[grammar] = None
            if len(self._sound) > _KEPT:
                self._sound.popitem(last=False)

    def _is_sound(self, grammar: str) -> bool:
        with self._lock:
            if grammar in self._sound:
                self._sound.move_to_end(grammar)
            return grammar in self._sound

    def _judge(self, answer: dict[str, Any] | None) -> None:
        if answer is None:
            raise BadRow(f"the grammar takes too much memory or over {self._wall_s:g} s to compile")
        if answer["fault"]:
            raise BadRow(str(answer["fault"]))
        if answer["cpu_s"] > self._cpu_s:
            raise BadRow(
                f"the grammar takes {answer['cpu_s']:.1f} s to compile, and may take "
                f"{self._cpu_s:g} s at most"
            )

    def _start_child(self) -> subprocess.Popen[bytes]:
        child = start_module(
            "engine.grammar.sandbox", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        weakref.finalize(self, _end, child)
        answer = _ask(child, self._vocabulary, _START_S)
        if answer is None or answer["fault"]:
            _end(child)
            raise BadRow(answer["fault"] if answer else "no process to compile grammars in started")
        return child


def _ask(
    child: subprocess.Popen[bytes], question: dict[str, Any], limit_s: float
) -> dict[str, Any] | None:
    """None: it did not answer in time, or is no more."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(question).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return None
    ready, _, _ = select.select([child.stdout], [], [], limit_s)
    line = child.stdout.readline() if ready else b""
    answer: dict[str, Any] | None = json.loads(line) if line else None
    return answer


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # what it was asked last and did not read
                pipe.close()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    grammars: Grammars | None = None
    for line in sys.stdin.buffer:
        request, started, fault = json.loads(line), time.process_time(), ""
        try:
            if grammars is None:
                grammars = Grammars(request["tokenizer"], request["end_ids"])
                grammars.check('{"grammars": [{"lark_grammar": "start: \\"a\\""}]}')
            else:
                grammars.check(request["grammar"])
        except BadRow as error:
            fault = str(error)
        answer = {"fault": fault, "cpu_s": time.process_time() - started}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
