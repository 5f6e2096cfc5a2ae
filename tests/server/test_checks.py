"""Checking an uploaded file without a job, over both transports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from adapterd.v1 import checks_pb2, checks_pb2_grpc
from tests.server.build import grpc_client, http_client, running
from tests.server.test_jobs import rows, upload


def typos() -> bytes:
    extra = [{"text": f"x{i}", "label": "gald"} for i in range(3)]
    return b"\n".join([rows(80), *(json.dumps(row).encode() for row in extra)])


async def check(http: httpx.AsyncClient, file_id: str, **body: Any) -> dict[str, Any]:
    answer = await http.post(f"/v1/files/{file_id}/check", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_check_says_what_a_job_would_and_queues_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, typos())
        found = await check(http, file["id"], head="classify")
        assert (found["file_id"], found["ok"], found["kind"]) == (file["id"], True, "lora")
        assert found["rows"]["file"] == 83
        typo = next(each for each in found["findings"] if each["code"] == "label_typo")
        assert typo["samples"][0] == {"file": "mood.jsonl", "line": 81, "text": "x0"}
        assert "row_tokens" in {each["code"] for each in found["findings"]}
        assert (await http.get("/v1/jobs")).json()["jobs"] == []


async def test_a_file_that_would_be_refused_is_answered_with_its_errors(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, b'{"text": "", "label": "x"}\n{"text": "a", "label": null}\n')
        found = await check(http, file["id"])
        assert found["ok"] is False
        assert (found["findings"][0]["severity"], found["findings"][0]["count"]) == ("error", 2)


async def test_both_transports_say_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        file = await upload(http, typos())
        by_http = await check(http, file["id"], settings={"test_share": 0.3})
        async with grpc_client(server) as client:
            request = checks_pb2.CheckFileRequest(file_id=file["id"])
            request.settings.update({"test_share": 0.3})
            by_grpc = await checks_pb2_grpc.ChecksStub(client.channel).CheckFile(request)
        assert dict(by_grpc.rows) == by_http["rows"]
        assert [each.message for each in by_grpc.findings] == [
            each["message"] for each in by_http["findings"]
        ]


async def test_an_unknown_file_or_setting_is_an_error_of_the_call(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        unknown = await http.post("/v1/files/file-none/check", json={})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_file")
        file = await upload(http, rows())
        bad = await http.post(f"/v1/files/{file['id']}/check", json={"settings": {"epochs": 0}})
        assert (bad.status_code, bad.json()["code"]) == (400, "bad_setting")
        async with grpc_client(server) as client:
            with pytest.raises(grpc.RpcError):
                await checks_pb2_grpc.ChecksStub(client.channel).CheckFile(
                    checks_pb2.CheckFileRequest()
                )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "mood.jsonl is empty"),
        (
            b"PK\x03\x04..xl/workbook.xml",
            "mood.jsonl is an Excel workbook; export the sheet as CSV",
        ),
        (b"\x1f\x8b\x08..", "mood.jsonl is compressed with gzip; unpack it"),
        (b"%PDF-1.7", "mood.jsonl is a PDF document; pass labelled rows as"),
    ],
)
async def test_an_upload_that_holds_no_rows_is_refused_and_not_stored(
    tmp_path: Path, content: bytes, said: str
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        form = {"files": {"file": ("mood.jsonl", content)}, "data": {"purpose": "fine-tune"}}
        answer = await http.post("/v1/files", **form)  # type: ignore[arg-type]
        assert (answer.status_code, said in answer.text) == (422, True), answer.text
        assert (await http.get("/v1/files")).json()["data"] == []


async def test_an_upload_of_another_purpose_is_stored_and_refused_by_its_check(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        form = {"files": {"file": ("a.pdf", b"%PDF-1.7")}, "data": {"purpose": "user_data"}}
        file = (await http.post("/v1/files", **form)).json()  # type: ignore[arg-type]
        found = await check(http, file["id"])
        assert (found["ok"], found["findings"][0]["code"]) == (False, "bad_dataset")
