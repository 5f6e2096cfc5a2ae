"""Random operations on the registry against a model of dictionaries."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from adapters_registry.errors import NothingToRollBack, UnknownTask, UnknownVersion, VersionInUse
from adapters_registry.registry import Registry
from adapters_registry.testing import memory_registry
from tests.registry.build import publish

TASKS = st.sampled_from([("acme", "mail"), ("acme", "tags"), ("other", "mail")])
NUMBERS = st.integers(1, 5)
ALIASES = st.sampled_from(["production", "canary"])


class Model(RuleBasedStateMachine):
    """`versions`: number -> content; `stack`: the way an alias came, its current version last."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.registry = self.open()
        self.versions: dict[tuple[str, str], dict[int, int]] = {}
        self.stacks: dict[tuple[str, str, str], list[int]] = {}
        self.taken: dict[tuple[str, str], int] = {}

    def open(self) -> Registry:
        return Registry.open(self.directory)

    def teardown(self) -> None:
        self.registry.close()
        shutil.rmtree(self.directory)

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
        self.registry = self.open()

    @invariant()
    def names_resolve_as_in_the_model(self) -> None:
        for task, mine in self.versions.items():
            assert [v.number for v in self.registry.versions(*task)] == sorted(mine)
        for (tenant, task_name, alias), stack in self.stacks.items():
            assert self.registry.resolve(tenant, f"{task_name}@{alias}").number == stack[-1]

    @invariant()
    def every_file_is_there_and_none_is_left_over(self) -> None:
        for task in self.versions:
            assert all(self.registry.files(version) for version in self.registry.versions(*task))
        assert self.registry.sweep().clean


class MemoryModel(Model):
    """The same for the registry in memory, which cannot be reopened."""

    def open(self) -> Registry:
        return memory_registry(self.directory)

    def reopen(self) -> None:
        """Nothing would be left."""


BOUNDS: dict[str, Any] = {
    "stateful_step_count": 20,
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow],
}

TestEmbedded = Model.TestCase
TestEmbedded.settings = settings(max_examples=12, **BOUNDS)
TestMemory = MemoryModel.TestCase
TestMemory.settings = settings(max_examples=40, **BOUNDS)
