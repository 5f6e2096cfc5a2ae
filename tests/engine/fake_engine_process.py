"""The fake engine in a process of its own, without torch, for tests of the supervisor.

`python -m tests.engine.fake_engine_process MARKER FD CONFIG`. Started a second time, when MARKER
exists, it never sends its info. It does not answer `Snapshot`, and answers `Restore` with bytes
that are no frame.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from engine import port
from engine.runtime.framing import receive_frame, send_frame
from engine.testing.fake_engine import FakeEngine


def main() -> None:
    marker, sock, engine = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), FakeEngine()
    if marker.exists():
        sock.recv(1)
        return
    marker.touch()
    send_frame(sock, port.encode(port.Envelope(0, engine.info)))
    while (frame := receive_frame(sock)) is not None:
        envelope = port.decode(frame)
        if isinstance(envelope.body, port.Restore):
            send_frame(sock, b"\xc1 rubbish")
        elif not isinstance(envelope.body, port.Snapshot):
            result = engine.submit(envelope.body).result()  # type: ignore[arg-type]
            send_frame(sock, port.encode(port.Envelope(envelope.number, result)))


def write_launcher(folder: Path) -> Path:
    """A script in place of the Python interpreter, which runs this module for `-P -m engine`."""
    launcher = folder / "python"
    marker = folder / "started"
    launcher.write_text(
        "#!/bin/sh\nshift 3\n"
        f'exec {sys.executable} -m tests.engine.fake_engine_process {marker} "$@"\n'
    )
    launcher.chmod(0o755)
    return launcher


if __name__ == "__main__":
    main()
