"""Random operations on two servers of one registry against a model of dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from adapters_registry.errors import NothingToRollBack, UnknownTask, UnknownVersion, VersionInUse
from tests.registry.build import publish
from tests.registry.collect import collect, is_tidy
from tests.services.place import Place

TASKS = st.sampled_from([("acme", "mail"), ("acme", "tags"), ("other", "mail")])
NUMBERS = st.integers(1, 5)
ALIASES = st.sampled_from(["production", "canary"])


class Model(RuleBasedStateMachine):
    """`versions`: number -> content; `stack`: the way an alias came, its current version last."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.registry, self.other = place.open_registry("one"), place.open_registry("two")
        self.versions: dict[tuple[str, str], dict[int, int]] = {}
        self.stacks: dict[tuple[str, str, str], list[int]] = {}
        self.taken: dict[tuple[str, str], int] = {}

    def teardown(self) -> None:
        self.registry.close()
        self.other.close()

    def point(self, task: tuple[str, str], alias: str, number: int) -> None:
        stack = self.stacks.setdefault((*task, alias), [])
        if stack[-1:] != [number]:
            stack.append(number)

    @rule(task=TASKS, content=st.integers(1, 4), promote=st.booleans())
    def publish(self, task: tuple[str, str], content: int, promote: bool) -> None:
        mine = self.versions.setdefault(task, {})
        known = {value: number for number, value in mine.items()}
        number = known.get(content, self.taken.get(task, 0) + 1)
        version = publish(
            self.registry, tenant=task[0], task=task[1], value=content, promote=promote
        )
        assert version.number == number
        self.taken[task] = max(self.taken.get(task, 0), number)
        if promote or (*task, "production") not in self.stacks:
            self.point(task, "production", number)
        mine[number] = content

    @rule(task=TASKS, number=NUMBERS, alias=ALIASES)
    def promote(self, task: tuple[str, str], number: int, alias: str) -> None:
        mine = self.versions.get(task)
        if not mine or number not in mine:
            with pytest.raises(UnknownVersion if mine else UnknownTask):
                self.registry.promote(*task, number, alias)
            return
        self.registry.promote(*task, number, alias)
        self.point(task, alias, number)

    @rule(task=TASKS)
    def rollback(self, task: tuple[str, str]) -> None:
        stack = self.stacks.get((*task, "production"), [])
        if not stack:
            return
        usable = [n for n in stack if n in self.versions[task] and n != stack[-1]]
        if not usable:
            with pytest.raises(NothingToRollBack):
                self.registry.rollback(*task)
            return
        self.registry.rollback(*task)
        while stack[-1] != usable[-1]:
            stack.pop()

    @rule(task=TASKS, number=NUMBERS)
    def delete_version(self, task: tuple[str, str], number: int) -> None:
        mine = self.versions.get(task)
        named = {stack[-1] for key, stack in self.stacks.items() if key[:2] == task}
        if not mine or number not in mine or number in named:
            with pytest.raises((UnknownTask, UnknownVersion, VersionInUse)):
                self.registry.delete_version(*task, number)
            return
        self.registry.delete_version(*task, number)
        del mine[number]

    @rule(task=TASKS)
    def delete_task(self, task: tuple[str, str]) -> None:
        if not self.versions.pop(task, None):
            with pytest.raises(UnknownTask):
                self.registry.delete_task(*task)
            return
        self.registry.delete_task(*task)
        self.stacks = {key: stack for key, stack in self.stacks.items() if key[:2] != task}

    @rule()
    def reopen(self) -> None:
        self.registry.close()
        self.registry = self.place.open_registry("one")

    @rule()
    def change_servers(self) -> None:
        self.registry, self.other = self.other, self.registry

    @invariant()
    def names_resolve_as_in_the_model(self) -> None:
        for task, mine in self.versions.items():
            assert [v.number for v in self.registry.versions(*task)] == sorted(mine)
        for (tenant, task_name, alias), stack in self.stacks.items():
            for server in (self.registry, self.other):
                assert server.resolve(tenant, f"{task_name}@{alias}").number == stack[-1]

    @invariant()
    def every_file_is_there_and_none_is_left_over(self) -> None:
        for task in self.versions:
            assert all(self.registry.files(version) for version in self.registry.versions(*task))
        collect(self.registry)
        assert is_tidy(self.registry)


BOUNDS: dict[str, Any] = {
    "stateful_step_count": 20,
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


def test_the_registry_does_what_the_model_does(new_place: Callable[[], Place]) -> None:
    num_examples = 4 if new_place().is_shared else 8
    run_state_machine_as_test(
        lambda: Model(new_place()), settings=settings(max_examples=num_examples, **BOUNDS)
    )
