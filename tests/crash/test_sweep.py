"""The sweep finds what a kill can break: actions that are broken on purpose, each in one way."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from sqlalchemy import create_engine, text

from tests.crash.sweep import sweep
from tests.crash.transitions import list_transitions
from tests.crash.warm_process import ActionFailed, Arm
from tests.services.databases import Databases
from tests.services.s3 import S3Bucket

OLD, NEW = b"old" * 10, b"new" * 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database and a bucket."""

    url: str
    bucket: S3Bucket


def overwrite(path: Path, arm: Arm) -> None:
    arm()
    path.write_bytes(NEW)


def replace(path: Path, arm: Arm) -> None:
    arm()
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(NEW)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def replace_by_descriptor(path: Path, arm: Arm) -> None:
    arm()
    descriptor = os.open(path.with_suffix(".part"), os.O_WRONLY | os.O_CREAT)
    left = NEW
    while left:
        left = left[os.write(descriptor, left) :]
    os.close(descriptor)
    path.with_suffix(".part").replace(path)


def write_before_it_counts(path: Path, arm: Arm) -> None:
    path.with_suffix(".log").write_text("opened")
    arm()
    path.with_suffix(".part").write_text("x")


def fail(path: Path, arm: Arm) -> None:
    raise ValueError("the action is wrong")


def change_folders(path: Path, arm: Arm) -> None:
    arm()
    folder = path.parent / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("elsewhere")
    os.link(path, folder / "twin")
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.truncate(folder / "lock", 0)
    shutil.rmtree(folder)


def insert_in_one_transaction(url: str, arm: Arm) -> None:
    engine = create_engine(url)
    arm()
    with engine.begin() as connection:
        for number in (1, 2):
            connection.execute(text(f"INSERT INTO noted VALUES ({number})"))


def insert_in_two_transactions(url: str, arm: Arm) -> None:
    engine = create_engine(url)
    arm()
    for number in (1, 2):
        with engine.begin() as connection:
            connection.execute(text(f"INSERT INTO noted VALUES ({number})"))


def put_row_first(place: Place, arm: Arm) -> None:
    engine = create_engine(place.url)
    store = place.bucket.open_store()
    arm()
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO noted VALUES (1)"))
    obstore.put(store, "1", b"content")


def put_bytes_first(place: Place, arm: Arm) -> None:
    engine = create_engine(place.url)
    store = place.bucket.open_store()
    arm()
    obstore.put(store, "1", b"content", mode="create")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO noted VALUES (1)"))


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[[int], Path]:
    def write(number: int) -> Path:
        (tmp_path / str(number)).mkdir()
        path = tmp_path / str(number) / "file"
        path.write_bytes(OLD)
        return path

    return write


def check_file(path: Path) -> bytes:
    content = path.read_bytes()
    assert content in (OLD, NEW)
    return content


def count_rows(url: str) -> int:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM noted")).scalar_one())
    finally:
        engine.dispose()


def check_all_rows_or_none(url: str) -> int:
    num_rows = count_rows(url)
    assert num_rows in (0, 2)
    return num_rows


def check_rows_have_bytes(place: Place) -> tuple[int, int]:
    store = place.bucket.open_store()
    num_keys = sum(len(page) for page in obstore.list(store))
    num_rows = count_rows(place.url)
    assert num_rows <= num_keys
    return num_rows, num_keys


def test_a_file_that_is_overwritten_in_place_is_found(prepare: Callable[[int], Path]) -> None:
    with pytest.raises(AssertionError) as caught:
        sweep(prepare, overwrite, check_file)
    assert "after a kill at point 1: write 30 bytes" in caught.value.__notes__[0]


@pytest.mark.parametrize("act", [replace, replace_by_descriptor])
def test_a_file_that_is_replaced_as_a_whole_passes(
    prepare: Callable[[int], Path], act: Callable[[Path, Arm], None]
) -> None:
    states = sweep(prepare, act, check_file)
    assert len(states) >= 5
    assert states == [OLD] * (len(states) - 1) + [NEW]


def test_half_of_a_write_can_have_reached_the_file(prepare: Callable[[int], Path]) -> None:
    sizes = sweep(prepare, overwrite, lambda path: path.stat().st_size)
    assert list_transitions([*sizes]) == [30, 0, 15, 30]


def test_writes_before_the_action_is_armed_are_no_points(prepare: Callable[[int], Path]) -> None:
    def read_log(path: Path) -> str:
        return path.with_suffix(".log").read_text()

    assert sweep(prepare, write_before_it_counts, read_log) == ["opened"] * 3


def test_each_change_of_a_folder_is_a_point(prepare: Callable[[int], Path]) -> None:
    def list_names(path: Path) -> list[str]:
        return sorted(each.name for each in path.parent.rglob("*") if each != path)

    grown = [[], ["folder"], ["folder", "link"], ["folder", "link", "twin"]]
    transitions = list_transitions([*sweep(prepare, change_folders, list_names)])
    assert transitions[:5] == [*grown, ["folder", "link", "lock", "twin"]]
    assert [len(names) for names in transitions[5:]] == [3, 2, 1, 0]


def test_an_error_of_the_action_is_told(prepare: Callable[[int], Path]) -> None:
    with pytest.raises(ActionFailed, match="ValueError: the action is wrong"):
        sweep(prepare, fail, check_file)


@pytest.fixture(params=["sqlite", "postgres"])
def prepare_rows(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], str]:
    def make_table(url: str) -> str:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE noted (number int)"))
        engine.dispose()
        return url

    if request.param == "sqlite":
        return lambda number: make_table(f"sqlite:///{tmp_path}/{number}.db")
    databases: Databases = request.getfixturevalue("databases")
    original = make_table(request.getfixturevalue("postgres_url"))

    def copy(_: int) -> str:
        url = databases.copy(original)
        request.addfinalizer(lambda: databases.drop(url))
        return url

    return copy


def test_rows_of_two_transactions_that_belong_together_are_found(
    prepare_rows: Callable[[int], str],
) -> None:
    with pytest.raises(AssertionError) as caught:
        sweep(prepare_rows, insert_in_two_transactions, check_all_rows_or_none)
    assert "INSERT INTO noted VALUES (2)" in caught.value.__notes__[0]


def test_rows_of_one_transaction_pass(prepare_rows: Callable[[int], str]) -> None:
    states = sweep(prepare_rows, insert_in_one_transaction, check_all_rows_or_none)
    # before the first statement and the commit, and no kill
    assert states == [0, 0, 2]


@pytest.fixture
def prepare_place(
    prepare_rows: Callable[[int], str], create_bucket: Callable[[], S3Bucket]
) -> Callable[[int], Place]:
    return lambda number: Place(url=prepare_rows(number), bucket=create_bucket())


def test_a_row_before_its_bytes_is_found(prepare_place: Callable[[int], Place]) -> None:
    with pytest.raises(AssertionError) as caught:
        sweep(prepare_place, put_row_first, check_rows_have_bytes)
    assert "obstore.put 1" in caught.value.__notes__[0]


def test_bytes_before_their_row_pass(prepare_place: Callable[[int], Place]) -> None:
    states = sweep(prepare_place, put_bytes_first, check_rows_have_bytes)
    assert list_transitions([*states]) == [(0, 0), (0, 1), (1, 1)]
