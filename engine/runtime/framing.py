"""Length-prefixed frames over a socket, in which messages cross between processes."""

from __future__ import annotations

import socket
import struct

_LENGTH = struct.Struct("<I")
#: a frame larger than this is a bug or an attack, never a batch
_MAX_FRAME = 2**30


def send_frame(sock: socket.socket, frame: bytes) -> None:
    sock.sendall(_LENGTH.pack(len(frame)) + frame)


def receive_frame(sock: socket.socket, max_bytes: int = _MAX_FRAME) -> bytes | None:
    """The next frame, or None when the other side has closed. Raises ValueError for one over
    `max_bytes`.
    """
    header = _receive(sock, _LENGTH.size)
    if header is None:
        return None
    (length,) = _LENGTH.unpack(header)
    if length > max_bytes:
        raise ValueError(f"a frame of {length} bytes is over the limit of {max_bytes}")
    return _receive(sock, length)


def _receive(sock: socket.socket, length: int) -> bytes | None:
    received = bytearray(length)
    view, position = memoryview(received), 0
    while position < length:
        try:
            count = sock.recv_into(view[position:])
        except ConnectionError:
            return None
        if count == 0:
            return None
        position += count
    return bytes(received)
