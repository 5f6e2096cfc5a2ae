"""Links that open the page of a report without a key: who may make them, and what they open."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from adapters_registry.storage.database import Database
from server.auth.authenticator import Authenticator
from server.auth.key_file import KeyRing, create_key, revoke_key
from server.auth.shared_secret import shared_secret
from server.auth.signed_link import LIFETIME_S, LinkSigner
from server.errors import LinkRefused
from server.main import Server
from tests.server.build import http_client, publish, registry_of, running
from trainer.pipeline.reporting import REPORT
from trainer.report.page.page import content_security_policy

PAGE = "/v1/tasks/mood/versions/1/report"


@asynccontextmanager
async def guarded(directory: Path) -> AsyncIterator[tuple[Server, httpx.AsyncClient, str]]:
    """A server with keys, a client without one, and a key of the role read."""
    keys_file = directory / "keys.jsonl"
    key = create_key(keys_file, "acme", "read")[1]
    create_key(keys_file, "globex", "admin")
    async with (
        running(directory / "data", keys_file=keys_file) as server,
        http_client(server) as http,
    ):
        for task in ("mood", "other"):
            beside = {REPORT: b'{"error": "a sentence"}'}
            publish(registry_of(server), task, tenant="acme", beside=beside)
        yield server, http, key


async def make(http: httpx.AsyncClient, key: str, page: str = PAGE) -> Any:
    answer = await http.post(f"{page}-links", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def changed(url: str, **parts: str) -> str:
    """The link with other parts of its query."""
    split = urlsplit(url)
    return f"{split.path}?{urlencode(dict(parse_qsl(split.query)) | parts)}"


async def test_a_link_opens_the_page_without_a_key_and_is_kept_by_nobody(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (_, http, key):
        assert (await http.get(PAGE)).status_code == 401
        answer = await http.get((await make(http, key))["url"])
    assert (answer.status_code, "a sentence" in answer.text) == (200, True)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"] == content_security_policy()


@pytest.mark.survival("B14")
async def test_a_link_opens_no_other_page_and_nothing_but_pages(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (_, http, key):
        query = urlsplit((await make(http, key))["url"]).query
        other = await http.get(f"/v1/tasks/other/versions/1/report?{query}")
        assert (other.status_code, other.json()["code"]) == (403, "link_refused")
        assert "not one that this server made for this page" in other.json()["detail"]
        for method, path in (("GET", "/v1/tasks"), ("POST", f"{PAGE}-links"), ("POST", PAGE)):
            assert (await http.request(method, f"{path}?{query}")).status_code == 401


@pytest.mark.survival("B14")
@pytest.mark.parametrize(
    "parts",
    [
        {"tenant": "globex"},
        {"expires": "99999999999"},
        {"expires": "soon"},
        {"key": "another"},
        {"signature": "0" * 64},
        {"signature": "\u00e9"},
    ],
    ids=["tenant", "later", "no time", "key", "forged", "not ascii"],
)
async def test_a_link_that_was_changed_is_refused(tmp_path: Path, parts: dict[str, str]) -> None:
    async with guarded(tmp_path) as (_, http, key):
        answer = await http.get(changed((await make(http, key))["url"], **parts))
    assert (answer.status_code, answer.json()["code"]) == (403, "link_refused")


@pytest.mark.survival("B14")
@pytest.mark.parametrize("more", ["&tenant=globex", "&signature=0", ""])
async def test_a_link_with_a_part_twice_or_lacking_is_refused(tmp_path: Path, more: str) -> None:
    async with guarded(tmp_path) as (_, http, key):
        url = (await make(http, key))["url"]
        url = url + more if more else url.replace("expires=", "ends=")
        assert (await http.get(url)).json()["code"] == "link_refused"


@pytest.mark.survival("B14")
async def test_a_link_dies_with_the_key_that_made_it(tmp_path: Path) -> None:
    keys_file, now = tmp_path / "keys.jsonl", [0.0]
    key, token = create_key(keys_file, "acme", "admin")
    create_key(keys_file, "acme", "read")
    ring = KeyRing(keys_file, clock=lambda: now[0])
    authenticator = Authenticator(ring, LinkSigner(lambda: b"a secret of the test"))
    url, _ = authenticator.make_link(authenticator.caller(f"Bearer {token}", "1"), PAGE)
    query = urlsplit(url).query
    opened = authenticator.link_caller(PAGE, query, "2")
    assert (opened.tenant, opened.key_id, opened.role.name) == ("acme", key.id, "READ")
    revoke_key(keys_file, key.id)
    now[0] = 2.0
    with pytest.raises(LinkRefused, match="no longer valid"):
        authenticator.link_caller(PAGE, query, "3")


@pytest.mark.survival("B14")
def test_a_link_of_another_tenant_opens_nothing_on_a_server_without_keys(tmp_path: Path) -> None:
    signer = LinkSigner(lambda: b"a secret of the test")
    _, url = signer.make(path=PAGE, tenant="acme", key_id="k")
    with pytest.raises(LinkRefused):
        Authenticator(None, signer).link_caller(PAGE, urlsplit(url).query, "1")


@pytest.mark.survival("B14")
def test_a_link_expires_and_says_when(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    signer = LinkSigner(lambda: b"a secret of the test", clock=lambda: now[0])
    link, url = signer.make(path=PAGE, tenant="acme", key_id="k")
    now[0] += LIFETIME_S - 1
    assert signer.read(PAGE, urlsplit(url).query) == link
    now[0] += 1
    with pytest.raises(LinkRefused, match=r"expired at 2027-01-15T08:05:00Z; make a new one"):
        signer.read(PAGE, urlsplit(url).query)


@pytest.mark.survival("B14")
def test_all_servers_of_a_shared_state_know_one_secret_and_others_do_not(tmp_path: Path) -> None:
    def open_signer(name: str) -> LinkSigner:
        database = Database.open(f"sqlite:///{tmp_path / name}")
        try:
            secret = shared_secret(database, "link")
        finally:
            database.close()
        return LinkSigner(lambda: secret)

    link, url = open_signer("shared.db").make(path=PAGE, tenant="acme", key_id="k")
    assert open_signer("shared.db").read(PAGE, urlsplit(url).query) == link
    with pytest.raises(LinkRefused):
        open_signer("other.db").read(PAGE, urlsplit(url).query)


@pytest.mark.survival("B14")
async def test_a_link_is_logged_without_its_signature(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with guarded(tmp_path) as (_, http, key):
        url = (await make(http, key))["url"]
        for each in (url, changed(url, tenant="globex")):
            await http.get(each)
    signature = dict(parse_qsl(urlsplit(url).query))["signature"]
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert {"report.linked", "call.refused"} <= set(actions)
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    assert not any(signature in str(vars(record)) for record in ours)


async def test_a_version_without_a_report_has_no_link(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        answer = await http.post(f"{PAGE}-links")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_report")


async def test_a_server_without_keys_makes_links_too(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood", beside={REPORT: b'{"error": "a sentence"}'})
        url = (await http.post(f"{PAGE}-links")).json()["url"]
        assert (await http.get(url)).status_code == 200
        assert (await http.get(changed(url, signature="0"))).status_code == 403
