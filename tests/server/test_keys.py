"""The key file: it holds no key, and fails closed. What holds of every place of keys is in
test_key_sources.py.
"""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest

from server.auth.key_file import KeyRing, create_key, list_keys, revoke_key
from server.errors import BadKeyFile, Unauthenticated


@pytest.mark.survival("B4")
def test_the_file_never_holds_the_secret_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    _, token = create_key(path, "acme", "use")
    assert token.rsplit("_", 1)[1] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_ring_follows_its_file_and_fails_closed(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    _, token = create_key(path, "acme", "use")
    now = [0.0]
    ring = KeyRing(path, clock=lambda: now[0])
    path.write_text("not a key file\n")
    assert ring.check(token)  # not looked at yet
    now[0] = 2.0
    with pytest.raises(BadKeyFile):
        ring.check(token)
    with pytest.raises(Unauthenticated):
        ring.check(token)


def test_a_ring_whose_file_is_gone_lets_nobody_in_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    _, token = create_key(path, "acme", "use")
    now = [0.0]
    ring = KeyRing(path, clock=lambda: now[0])
    aside = path.rename(tmp_path / "aside")
    now[0] = 2.0
    with pytest.raises(BadKeyFile):
        ring.check(token)
    with pytest.raises(Unauthenticated):
        ring.check(token)
    now[0] = 4.0
    with pytest.raises(BadKeyFile):
        ring.check(token)
    aside.rename(path)  # the very same file, so nothing about it has changed
    now[0] = 6.0
    assert ring.check(token).tenant == "acme"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '"x"',
        '{"id":"a"}',
        '{"id":"a","tenant":"A!","role":"use","hash":"0","created_at":0}',
        '{"id":"a","tenant":"a","role":"god","hash":"0","created_at":0}',
    ],
)
def test_a_line_that_is_no_key_record_is_named_by_its_number_only(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "keys.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(BadKeyFile, match=r"line 1|is no tenant name|the role is"):
        list_keys(path)


def test_a_ring_without_keys_would_lock_everyone_out_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    path.write_text("")
    with pytest.raises(BadKeyFile, match="adapterd keys create"):
        KeyRing(path)


def create_many(path: Path, num: int) -> None:
    for _ in range(num):
        create_key(path, "acme", "use")


def revoke_many(path: Path, ids: list[str]) -> None:
    for key_id in ids:
        revoke_key(path, key_id)


@pytest.mark.survival("B6")
@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_creations_beside_revocations_lose_nothing_and_bring_nothing_back(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "keys.jsonl"
    old = [create_key(path, "evil", "admin")[0].id for _ in range(20)]
    work = [(create_many, (path, 10)), (create_many, (path, 10)), (revoke_many, (path, old))]
    if kind == "threads":
        doing = [threading.Thread(target=what, args=given) for what, given in work]
    else:
        context = multiprocessing.get_context("spawn")
        doing = [context.Process(target=what, args=given) for what, given in work]  # type: ignore[misc]
    for each in doing:
        each.start()
    for each in doing:
        each.join()
    assert [key.tenant for key in list_keys(path)] == ["acme"] * 20


def test_a_key_file_that_others_could_read_is_closed_to_them_at_opening(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    create_key(path, "acme", "use")
    path.chmod(0o644)
    KeyRing(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_written_leaves_the_keys_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.jsonl"
    made, _ = create_key(path, "acme", "use")

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    for change in (lambda: create_key(path, "acme", "use"), lambda: revoke_key(path, made.id)):
        with pytest.raises(BadKeyFile, match="No space left"):
            change()
    assert list_keys(path) == [made]
    assert sorted(each.name for each in tmp_path.iterdir()) == [".keys.jsonl.lock", "keys.jsonl"]
