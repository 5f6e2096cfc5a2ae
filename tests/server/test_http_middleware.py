"""What HTTP requests are refused for before any route reads them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from engine.testing.fake_engine import write_fake_adapter
from server.http_api.route import ROLES
from server.main import Server
from tests.server.build import http_client, publish, registry_of, running
from tests.server.test_metrics import scrape

FORM = "multipart/form-data; boundary=XX"


def part(name: str, content: bytes, extra: str = "", filename: str | None = None) -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{extra}\r\n'
    return head.encode() + content + b"\r\n"


async def post(
    server: Server, path: str, content: bytes, content_type: str = FORM, **headers: str
) -> tuple[int, str, str]:
    """Status, code and sentence."""
    async with http_client(server) as http:
        headers = {"content-type": content_type, **headers}
        answer = await http.post(path, content=content, headers=headers)
    body = answer.json()
    error = body if "code" in body else body["error"]
    return answer.status_code, error["code"], error.get("detail") or error.get("message")


@pytest.mark.survival("C1")
async def test_a_body_that_trickles_is_given_up_although_it_never_stands_still(
    tmp_path: Path,
) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" "
            await asyncio.sleep(0.03)

    async with running(tmp_path, body_timeout_s=0.3) as server, http_client(server) as http:
        for path in ("/v1/predict", "/v1/jobs"):
            answer = await http.post(path, content=trickle())
            assert (answer.status_code, answer.json()["code"]) == (408, "too_slow")
            assert "bytes of the body came in" in answer.json()["detail"]


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        yield server


# ------------------------------------------------------------------ charsets


@pytest.mark.survival("C2")
@pytest.mark.parametrize(
    "charset", ["punycode", "utf-7", "unicode_escape", "utf-16", "latin-1", "x"]
)
async def test_no_charset_but_utf_8_is_read(tmp_path: Path, charset: str) -> None:
    """Some take minutes for a megabyte; others make of ASCII what cannot be stored."""
    note = part("note", b"a-" + b"b" * 500_000) + b"--XX--\r\n"
    said = f"charset={charset}"
    async with running(tmp_path) as server:
        for content, content_type in (
            (note, f"{FORM}; {said}"),
            (part("note", b"x", f"Content-Type: text/plain; {said}\r\n") + b"--XX--", FORM),
            (b"note=x", f"application/x-www-form-urlencoded; {said}"),
        ):
            status, code, sentence = await post(
                server, "/v1/tasks/mood/versions", content, content_type
            )
            assert (status, code) == (415, "unsupported_media_type")
            assert charset in sentence
        for path in ("/v1/jobs", "/v1/predict", "/v1/completions", "/v1/fine_tuning/jobs"):
            refused = await post(server, path, b"{}", f"application/json; {said}")
            assert refused[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("field", "content"),
    [
        ("note", b"\xff\xfe"),
        ("labels", b"a,\xed\xa0\x80"),
        ("head", b"x\x00"),
        ("note", b"\x1b[31m"),
    ],
)
async def test_what_is_no_text_in_a_form_is_refused_and_nothing_is_stored(
    tmp_path: Path, field: str, content: bytes
) -> None:
    adapter = write_fake_adapter(tmp_path / "adapter", seed=1)
    files = b"".join(
        part("files", path.read_bytes(), filename=path.name) for path in adapter.iterdir()
    )
    escaped = b"".join(b"%%%02x" % byte for byte in content)
    async with running(tmp_path / "data") as server:
        for body, kind in (
            (files + part(field, content) + b"--XX--\r\n", FORM),
            (field.encode() + b"=" + escaped, "application/x-www-form-urlencoded"),
        ):
            status, code, _ = await post(server, "/v1/tasks/mood/versions", body, kind)
            assert (status, code) == (400, "bad_request")
        async with http_client(server) as http:
            assert (await http.get("/v1/tasks")).json()["tasks"] == []


async def test_a_part_that_is_encoded_is_refused(tmp_path: Path) -> None:
    content = part("note", b"eA==", "Content-Transfer-Encoding: base64\r\n") + b"--XX--"
    async with running(tmp_path) as server:
        refused = await post(server, "/v1/tasks/mood/versions", content)
    assert refused[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "x"])
async def test_a_compressed_body_is_an_unsupported_media_type(
    tmp_path: Path, encoding: str
) -> None:
    async with running(tmp_path) as server:
        for path in ("/v1/predict", "/v1/jobs", "/v1/files"):
            refused = await post(server, path, b"x", **{"content-encoding": encoding})
            assert refused[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            part("note", b"x") + part("nots", b"y") + b"--XX--",
            "a field 'nots'; its fields are head",
        ),
        (part("note", b"x") + part("note", b"y") + b"--XX--", "note twice"),
        (part("files", b"adapter_config.json") + b"--XX--", "-F files=@NAME"),
        (part("files", b"{}", filename="adapter_config.json"), "before its closing boundary"),
        (b"", "before its closing boundary"),
    ],
    ids=["no such field", "one field twice", "a name for a file", "cut", "empty"],
)
async def test_a_form_that_is_not_what_was_meant_is_refused(
    tmp_path: Path, body: bytes, words: str
) -> None:
    async with running(tmp_path) as server:
        status, _, sentence = await post(server, "/v1/tasks/mood/versions", body)
    assert status == 400
    assert words in sentence


@pytest.mark.parametrize("kind", ["application/json", "multipart/mixed; boundary=XX"])
async def test_a_body_that_is_no_form_is_not_read_as_an_empty_one(
    tmp_path: Path, kind: str
) -> None:
    async with running(tmp_path) as server:
        refused = await post(server, "/v1/tasks/mood/versions", b'{"head": "generate"}', kind)
    assert refused[:2] == (415, "unsupported_media_type")


# ------------------------------------------------------------------ JSON

READ_AS_JSON = [
    "/v1/tasks/mood/predict", "/v1/predict", "/v1/completions", "/v1/chat/completions",
    "/v1/embeddings", "/v1/jobs", "/v1/fine_tuning/jobs", "/v1/files/file-1/check",
]  # fmt: skip


AMBIGUOUS = {
    "a name twice": b'{"inputs": ["x"], "inputs": ["y"]}',
    "a name twice within": b'{"inputs": ["x"], "parameters": {"seed": 1, "seed": 2}}',
    "a byte order mark": b'\xef\xbb\xbf{"inputs": ["x"]}',
    "UTF-16": '{"inputs": ["x"]}'.encode("utf-16"),
    "UTF-16 without a mark": '{"inputs": ["x"]}'.encode("utf-16-le"),
    "no UTF-8": b'{"inputs": ["\xff"]}',
    "NaN": b'{"inputs": [NaN]}',
    "infinity": b'{"inputs": [1e400]}',
    "too many digits": b'{"inputs": [' + b"9" * 5000 + b"]}",
    "deep lists": b"[" * 50_000 + b"]" * 50_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
}


@pytest.mark.survival("C3")
@pytest.mark.parametrize("path", READ_AS_JSON)
async def test_json_that_parsers_disagree_on_is_refused(served: Server, path: str) -> None:
    for what, content in AMBIGUOUS.items():
        status, code, sentence = await post(served, path, content, "application/json")
        assert (status, code) == (400, "bad_request"), what
        assert sentence.startswith(("The body", "The number", "A number")), what


@pytest.mark.parametrize("path", READ_AS_JSON[5:])
async def test_half_surrogates_are_refused_where_bodies_are_stored(
    served: Server, path: str
) -> None:
    for content in (rb'{"settings": {"\ud800": 1}}', rb'{"dev_file_id": "\uDFFF"}'):
        status, _, sentence = await post(served, path, content, "application/json")
        assert status == 400
        assert "unpaired surrogate" in sentence


@pytest.mark.parametrize("path", READ_AS_JSON[5:])
async def test_whole_numbers_beyond_64_bits_are_refused_where_bodies_are_stored(
    served: Server, path: str
) -> None:
    for number in (2**63, -(2**63) - 1, 10**30):
        content = b'{"settings": {"seed": %d}}' % number
        status, _, sentence = await post(served, path, content, "application/json")
        assert status == 400
        assert sentence == "settings holds a whole number of more than 64 bits."


@pytest.mark.parametrize("path", READ_AS_JSON)
async def test_a_refusal_can_be_said_whatever_it_names(served: Server, path: str) -> None:
    for name in (rb"\ud800", b"z" * 70_000, rb"\u0000\u001b[31m"):
        content = b'{"%s": 1, "parameters": {"%s": 1}}' % (name, name)
        status, _, sentence = await post(served, path, content, "application/json")
        assert status == 400
        assert len(sentence) <= 4000


# ------------------------------------------------------------------ methods


async def test_what_can_be_got_has_a_head(served: Server) -> None:
    paths = [name.split(" ")[1] for name in ROLES if name.startswith("GET ")]
    paths += ["/docs", "/openapi.json", "/v1/jobs/job-1/events?stream=true"]
    async with http_client(served) as http:
        for path in paths:
            url = path.replace("{ref:path}", "mood").format(
                task="mood", number=1, alias="production", file_id="file-1", job_id="job-1"
            )
            whole, head = await http.get(url), await http.head(url)
            assert (head.status_code, head.content) == (whole.status_code, b"")
            assert head.headers["content-type"] == whole.headers["content-type"]


async def test_other_methods_are_told_which_there_are(served: Server) -> None:
    async with http_client(served) as http:
        for method, path, allowed in (
            ("PATCH", "/v1/tasks/mood", "DELETE, GET, HEAD"),
            ("HEAD", "/v1/predict", "POST"),
            ("M17", "/health/live", "GET, HEAD"),
            ("GET", "/v1/tasks/mood/aliases/production", "DELETE, PUT"),
            ("POST", "/openapi.json", "GET, HEAD"),
        ):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
            assert method == "HEAD" or answer.json().get("code") == "method_not_allowed"
        metrics = f"http://127.0.0.1:{served.ports.metrics}/metrics"
        answer = await http.post(metrics)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert (await http.head(metrics)).status_code == 200


async def test_a_caller_who_leaves_within_a_body_is_no_fault_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as server:
        for path in ("/v1/predict", "/v1/jobs", "/v1/files"):
            kind = FORM if path == "/v1/files" else "application/json"
            _, writer = await asyncio.open_connection("127.0.0.1", server.ports.http)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            writer.write(f"{head}Content-Length: 1000\r\n\r\n--XX\r\n".encode())
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.close()
        await asyncio.sleep(0.1)
        text = await scrape(server)
    for path in ("/v1/predict", "/v1/jobs", "/v1/files"):
        label = f'code="499",method="POST {path}",transport="http"'
        assert f"adapterd_requests_total{{{label}}} 1.0" in text
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


async def test_the_files_of_a_form_that_is_refused_are_closed(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        form = {"files": {"files": ("adapter_config.json", b"{}")}, "data": {"no_field": "x"}}
        answer = await http.post("/v1/tasks/t/versions", **form)
        assert answer.status_code == 400
    gc.collect()  # a file that nobody closed says so now, which fails this test
