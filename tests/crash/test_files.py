"""An uploaded file is there whole or not at all, wherever its upload or deletion was killed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from adapters_registry.storage.shared_state import SharedState
from tests.crash.places import Place, Places
from tests.crash.reopened import reopened
from tests.crash.sweep import sweep
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import Arm
from trainer.jobs.file_store import FileStore
from trainer.jobs.store import JobStore
from trainer.jobs.values import FileQuery, FileRecord

pytestmark = [pytest.mark.survival("G1"), pytest.mark.timeout(900), pytest.mark.slow]

FIRST, SECOND = b"first,rows\n", b"second,rows\n"
#: of each file its content and the name that its owner gave it
Seen = list[tuple[bytes, str]]


def upload_second(place: Place, arm: Arm) -> None:
    """It takes over the name of the first."""
    files = open_files(place.attach())
    arm()
    put(files, SECOND)


def upload_first_again(place: Place, arm: Arm) -> None:
    """Whose content is stored already, and which a collection has marked."""
    files = open_files(place.attach())
    arm()
    put(files, FIRST, name="")


def delete_first(place: Place, arm: Arm) -> None:
    files = open_files(place.attach())
    [record] = files.list("acme")
    arm()
    files.delete("acme", record.id)


def open_files(state: SharedState) -> FileStore:
    return FileStore(state.blobs, JobStore(state.database), state.directory / "uploads")


def put(files: FileStore, content: bytes, name: str = "rows") -> FileRecord:
    return files.put("acme", "rows.csv", "train", [content], 1000, name)


@pytest.fixture
def prepare(places: Places) -> Callable[[int], Place]:
    with closing(places.original.open()) as state:
        put(open_files(state), FIRST)
    return places.copy


def list_files(place: Place) -> Seen:
    """Each is read and verified, one more can be uploaded, and a name leads to one file."""
    with reopened(place) as state:
        files = open_files(state)
        seen = sorted((files.read("acme", each.id), each.name) for each in files.list("acme"))
        again = put(files, b"third,rows\n")
        [named] = files.list("acme", query=FileQuery(name="rows"))
        assert named.id == again.id
        return seen


def test_a_file_is_absent_or_whole_wherever_its_upload_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, upload_second, list_files))
    assert states == [[(FIRST, "rows")], [(FIRST, ""), (SECOND, "rows")]]


def test_equal_content_is_there_once_wherever_its_upload_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, upload_first_again, list_files))
    assert states == [[(FIRST, "rows")], [(FIRST, ""), (FIRST, "rows")]]


def test_a_file_is_whole_or_gone_wherever_its_deletion_is_killed(
    prepare: Callable[[int], Place],
) -> None:
    states = list_transitions(sweep(prepare, delete_first, list_files))
    assert states == [[(FIRST, "rows")], []]
