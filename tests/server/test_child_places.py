"""Waiting for one of a few child processes: bounded, and over when the caller is gone."""

from __future__ import annotations

import threading

import pytest

from server.errors import HungUp, Overloaded
from server.service.imports.child_places import ChildPlaces


def test_a_caller_who_hung_up_gives_its_thread_back() -> None:
    places, gone = ChildPlaces(1), threading.Event()
    gone.set()
    with places.hold(threading.Event()), pytest.raises(HungUp), places.hold(gone):
        pass


def test_the_wait_for_a_place_ends() -> None:
    now = iter([0.0, 1.0, 5.0, 31.0])
    places = ChildPlaces(1, wait_s=30.0, clock=lambda: next(now, 31.0))
    gone = threading.Event()
    with places.hold(gone), pytest.raises(Overloaded, match="for 30 s; try again"):
        with places.hold(gone):
            pass


def test_a_tenant_that_waits_or_reads_is_refused_a_second_place() -> None:
    places, gone = ChildPlaces(2), threading.Event()
    with places.hold_alone("acme", gone):
        with pytest.raises(Overloaded, match="of this tenant"), places.hold_alone("acme", gone):
            pass
        with places.hold_alone("globex", gone):
            pass
    with places.hold_alone("acme", gone):
        pass
