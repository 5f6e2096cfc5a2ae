"""Runs an action in children that die at its first write, at its second, and so on until one comes
to its end, and checks what each of them left. Knows no action and no storage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.crash.warm_process import Arm, Death, shared_warm_process

Site = TypeVar("Site")
State = TypeVar("State")

MAX_POINTS = 3000


def sweep(
    prepare: Callable[[int], Site],
    act: Callable[[Site, Arm], object],
    check: Callable[[Site], State],
    *,
    max_points: int = MAX_POINTS,
    every_statement: bool = False,
) -> list[State]:
    """What `check` made of the state after a kill at each point, and after no kill at last.

    `prepare` makes an untouched copy of the data for each run and returns what finds it: a path, a
    URL. `act` is a function at the top of its module, because it is run in another process; it
    opens the data, calls what it is given as its second argument, and changes the data. `check`
    opens the data again, as a start does, and raises AssertionError where they are not whole.
    Statements that follow each other in one transaction are one point, unless `every_statement` is.
    """
    states: list[State] = []
    for number in range(max_points):
        site = prepare(number)
        death = shared_warm_process().run(act, site, number, every_statement=every_statement)
        try:
            states.append(check(site))
        except Exception as error:
            error.add_note(_describe(death))
            raise
        if death is None:
            return states
    raise AssertionError(f"{act.__name__} has more than {max_points} points and did not end")


def _describe(death: Death | None) -> str:
    if death is None:
        return "after the action, which no kill interrupted"
    return f"after a kill at point {death.number}: {death.point}"
