"""API keys, wherever they are kept: a file, SQLite, PostgreSQL."""

from __future__ import annotations

import hmac
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.auth import key as key_module
from server.errors import BadKey, Unauthenticated
from tests.server.key_sources import KINDS, Clock, DatabaseSource, FileSource, KeySource


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of a file, or the URL of a database."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    name = {"file": str(tmp_path / "keys.jsonl"), "sqlite": f"sqlite:///{tmp_path / 'adapterd.db'}"}
    return name[request.param]


@pytest.fixture
def source(place: str) -> Iterator[KeySource]:
    opened = open_source(place)
    yield opened
    opened.close()


def open_source(place: str) -> KeySource:
    return DatabaseSource(place) if ":" in place else FileSource(Path(place))


def test_a_created_key_opens_and_names_its_tenant_and_role(source: KeySource) -> None:
    made, token = source.create("acme", "use")
    ring = source.open_ring(Clock(), lambda _: None)
    found = ring.check(token)
    assert found == made == ring.find(made.id)
    assert (found.tenant, found.role) == ("acme", "use")


def test_keys_are_listed_in_order_and_revoked_by_id(source: KeySource) -> None:
    made = [source.create(tenant, "read")[0] for tenant in ("a", "b", "c")]
    assert list(source.list()) == made
    assert source.revoke(made[1].id) == made[1]
    assert list(source.list()) == [made[0], made[2]]


@pytest.mark.parametrize("key_id", ["", "nobody", "x" * 1000])
def test_only_a_key_that_exists_is_revoked_and_only_once(source: KeySource, key_id: str) -> None:
    made, _ = source.create("acme", "use")
    source.create("acme", "use")
    source.revoke(made.id)
    for wrong in (key_id, made.id):
        with pytest.raises(BadKey, match="holds no key"):
            source.revoke(wrong)


@pytest.mark.survival("B6")
def test_a_revoked_key_is_refused_after_the_next_look_and_a_new_one_accepted(
    source: KeySource,
) -> None:
    clock = Clock()
    first, token = source.create("acme", "use")
    ring = source.open_ring(clock, lambda _: None)
    source.revoke(first.id)
    second, other_token = source.create("acme", "use")
    source.look(clock)
    assert ring.check(other_token) == second
    assert ring.find(first.id) is None
    with pytest.raises(Unauthenticated):
        ring.check(token)


def test_a_key_expires_by_itself(source: KeySource) -> None:
    clock = Clock()
    made, token = source.create("acme", "use", expires_at=1100.0)
    ring = source.open_ring(clock, lambda _: None)
    assert ring.check(token) == made
    clock.now = 1100.0
    assert ring.find(made.id) is None
    with pytest.raises(Unauthenticated):
        ring.check(token)


def test_a_ring_tells_of_a_tenant_once_its_last_key_is_revoked(source: KeySource) -> None:
    clock, gone = Clock(), list[str]()
    keys = [source.create(tenant, "use") for tenant in ("acme", "acme", "globex")]
    ring = source.open_ring(clock, gone.append)
    heard = []
    for key, _ in keys[:2]:
        source.revoke(key.id)
        source.look(clock)
        assert ring.check(keys[2][1])
        heard.append(list(gone))
    assert heard == [[], ["acme"]]


@pytest.mark.parametrize(("tenant", "role"), [("Bad Name", "use"), ("", "use"), ("acme", "root")])
def test_a_key_needs_a_plain_tenant_and_a_known_role(
    source: KeySource, tenant: str, role: str
) -> None:
    with pytest.raises(BadKey):
        source.create(tenant, role)


@pytest.mark.survival("B4")
def test_keys_are_compared_in_constant_time_known_or_not(
    source: KeySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, token = source.create("acme", "use")
    ring, compared = source.open_ring(Clock(), lambda _: None), []

    def compare(left: str, right: str) -> bool:
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr(key_module.hmac, "compare_digest", compare)
    ring.check(token)
    for wrong in (f"adk_{made.id}_x", "adk_unknown_x", "x", f"other_{token[4:]}"):
        with pytest.raises(Unauthenticated):
            ring.check(wrong)
    assert compared == [(64, 64)] * 5
    assert hmac.compare_digest is compare


@pytest.mark.survival("B4")
def test_no_place_holds_the_secret(source: KeySource) -> None:
    _, token = source.create("acme", "use")
    secret = token.rsplit("_", 1)[1]
    assert all(secret not in repr(key) for key in source.list())


def create_many(place: str, num: int) -> None:
    source = open_source(place)
    for _ in range(num):
        source.create("acme", "use")
    source.close()


def revoke_many(place: str, ids: list[str]) -> None:
    source = open_source(place)
    for key_id in ids:
        source.revoke(key_id)
    source.close()


@pytest.mark.survival("B6")
def test_creations_beside_revocations_lose_nothing_and_bring_nothing_back(
    source: KeySource, place: str
) -> None:
    old = [source.create("evil", "admin")[0].id for _ in range(10)]
    work = [(create_many, (place, 5)), (create_many, (place, 5)), (revoke_many, (place, old))]
    spawn = multiprocessing.get_context("spawn")
    running = [spawn.Process(target=what, args=given) for what, given in work]  # type: ignore[misc]
    for each in running:
        each.start()
    for each in running:
        each.join()
    assert [key.tenant for key in source.list()] == ["acme"] * 10
