"""A key is there or not, and what a customer had erased is gone whole, wherever it was killed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from adapters_registry.audit.audit_log import AuditLog
from adapters_registry.registry import Registry
from server.auth.key_table import KeyTable
from server.auth.shared_secret import shared_secret
from server.upkeep.erasure import Eraser
from tests.crash.places import Place, Places
from tests.crash.reopened import reopened
from tests.crash.sweep import sweep
from tests.crash.test_files import open_files, put
from tests.crash.test_jobs import claim_job, read_spec
from tests.crash.test_versions import list_numbers
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import Arm
from tests.registry.build import publish
from tests.registry.test_datasets import made_from
from trainer.jobs.states import Status
from trainer.jobs.store import JobStore

pytestmark = [pytest.mark.survival("G1"), pytest.mark.timeout(900), pytest.mark.slow]

#: versions, files, jobs with a result, and keys
Left = tuple[list[int], int, int, int]


def create_and_revoke(place: Place, arm: Arm) -> None:
    database = place.attach().database
    keys = KeyTable(database)
    arm()
    shared_secret(database, "link")
    key, _ = keys.create("acme", "admin")
    keys.revoke(key.id)


def erase_file(place: Place, arm: Arm) -> None:
    state = place.attach()
    [record] = open_files(state).list("acme")
    eraser = Eraser(state)
    arm()
    eraser.erase_file("acme", record.id, now=True)


def erase_tenant(place: Place, arm: Arm) -> None:
    eraser = Eraser(place.attach())
    arm()
    eraser.erase_tenant("acme", now=True)


@pytest.fixture
def prepare(places: Places) -> Callable[[int], Place]:
    """A version that was made from a file by a job, one that was not, and another tenant's."""
    with closing(places.original.open()) as state:
        record = put(open_files(state), b"secret rows\n")
        store = JobStore(state.database)
        store.submit("job-1", read_spec(store))
        store.finish(claim_job(store), Status.SUCCEEDED, result={"sample": "secret rows"})
        registry = Registry(state)
        publish(registry, value=1, lineage=made_from(record.sha256))
        publish(registry, value=2)
        publish(registry, value=1, tenant="other")
        KeyTable(state.database).create("acme", "admin")
    return places.copy


def list_left(place: Place) -> Left:
    with reopened(place) as state:
        registry = Registry(state)
        assert registry.resolve("other", "mail").number == 1
        jobs = JobStore(state.database).list_jobs("acme", None, 10)
        keys = [key for key in KeyTable(state.database).list() if key.tenant == "acme"]
        return (
            list_numbers(registry),
            len(open_files(state).list("acme")),
            len([job for job in jobs if job.result]),
            len(keys),
        )


def count_keys(place: Place) -> tuple[int, int]:
    """Keys that are valid, and what the audit log says of keys; the secret is drawn once."""
    with reopened(place) as state:
        drawn = shared_secret(state.database, "link")
        assert shared_secret(state.database, "link") == drawn
        rows = AuditLog(state.database).list("acme")
        changes = [each for each in rows if each.change.action.startswith("key.")]
        keys = [key for key in KeyTable(state.database).list() if key.tenant == "acme"]
        return len(keys), len(changes)


def test_a_key_agrees_with_the_audit_log_wherever_its_change_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, create_and_revoke, count_keys))
    assert states == [(1, 1), (2, 2), (1, 3)]


def test_a_file_goes_with_what_was_made_from_it_wherever_its_erasure_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, erase_file, list_left))
    assert states == [([1, 2], 1, 1, 1), ([2], 0, 0, 1)]


def test_a_tenant_goes_whole_wherever_its_erasure_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, erase_tenant, list_left))
    assert states == [([1, 2], 1, 1, 1), ([], 0, 0, 0)]
