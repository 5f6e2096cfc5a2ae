"""The key file: created, listed, revoked; it holds no key."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest

from server.auth import key_file
from server.auth.key_file import KeyRing, create_key, list_keys, revoke_key
from server.errors import BadKeyFile, Unauthenticated


def test_a_created_key_opens_and_names_its_tenant_and_role(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    made, token = create_key(path, "acme", "use")
    found = KeyRing(path).check(token)
    assert found == made
    assert (found.tenant, found.role) == ("acme", "use")


@pytest.mark.survival("B4")
def test_the_file_never_holds_the_secret_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    _, token = create_key(path, "acme", "use")
    assert token.rsplit("_", 1)[1] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_are_listed_in_order_and_revoked_by_id(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    made = [create_key(path, tenant, "read")[0] for tenant in ("a", "b", "c")]
    assert list_keys(path) == made
    assert revoke_key(path, made[1].id) == made[1]
    assert list_keys(path) == [made[0], made[2]]


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


def test_a_ring_tells_of_a_tenant_once_its_last_key_is_revoked(tmp_path: Path) -> None:
    path, gone, now = tmp_path / "keys.jsonl", list[str](), [0.0]
    keys = [create_key(path, tenant, "use") for tenant in ("acme", "acme", "globex")]
    ring = KeyRing(path, clock=lambda: now[0], on_gone=gone.append)
    told = []
    for key, _ in keys[:2]:
        revoke_key(path, key.id)
        now[0] += 2.0
        assert ring.check(keys[2][1])
        told.append(list(gone))
    assert told == [[], ["acme"]]


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


@pytest.mark.parametrize(("tenant", "role"), [("Bad Name", "use"), ("acme", "root")])
def test_a_key_needs_a_plain_tenant_and_a_known_role(
    tmp_path: Path, tenant: str, role: str
) -> None:
    with pytest.raises(BadKeyFile):
        create_key(tmp_path / "keys.jsonl", tenant, role)


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


@pytest.mark.survival("B4")
def test_keys_are_compared_in_constant_time_known_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.jsonl"
    made, token = create_key(path, "acme", "use")
    ring, compared = KeyRing(path), []

    def compare(left: str, right: str) -> bool:
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr(key_file.hmac, "compare_digest", compare)
    ring.check(token)
    for wrong in (f"adk_{made.id}_x", "adk_unknown_x", "x", f"other_{token[4:]}"):
        with pytest.raises(Unauthenticated):
            ring.check(wrong)
    assert compared == [(64, 64)] * 5
