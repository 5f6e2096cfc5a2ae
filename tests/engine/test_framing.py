"""Frames over a real socket pair."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from engine.runtime.framing import receive_frame, send_frame

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("frame", [b"", b"x", b"\x00" * 70_000], ids=["empty", "one", "many"])
def test_a_frame_arrives_as_it_was_sent(pair: Pair, frame: bytes) -> None:
    sender = threading.Thread(target=send_frame, args=(pair[0], frame))
    sender.start()
    assert receive_frame(pair[1]) == frame
    sender.join()


def test_frames_sent_together_come_apart_again(pair: Pair) -> None:
    send_frame(pair[0], b"first")
    send_frame(pair[0], b"second")
    assert [receive_frame(pair[1]), receive_frame(pair[1])] == [b"first", b"second"]


def test_a_frame_that_trickles_in_byte_by_byte_is_whole_in_the_end(pair: Pair) -> None:
    def trickle() -> None:
        for byte in struct.pack("<I", 5) + b"hello":
            pair[0].send(bytes([byte]))

    sender = threading.Thread(target=trickle)
    sender.start()
    assert receive_frame(pair[1]) == b"hello"
    sender.join()


@pytest.mark.parametrize("sent", [b"", b"\x05\x00", b"\x05\x00\x00\x00he"])
def test_a_peer_that_closes_anywhere_ends_the_frames(pair: Pair, sent: bytes) -> None:
    pair[0].sendall(sent)
    pair[0].close()
    assert receive_frame(pair[1]) is None


def test_an_oversized_frame_is_refused_before_it_is_read(pair: Pair) -> None:
    pair[0].sendall(struct.pack("<I", 2**31))
    with pytest.raises(ValueError, match="a frame of 2147483648 bytes is over the limit"):
        receive_frame(pair[1])
