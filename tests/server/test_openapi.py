"""The API's description is valid and true, and its page needs nothing from elsewhere."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from server.health import Health
from server.http_api.app import build_routes
from server.http_api.middleware import PUBLIC
from server.http_api.openapi import examples
from tests.browser import browse
from tests.server.build import http_client, publish, registry_of, running


def described() -> dict[str, Any]:
    return build_routes(None, Health(), "0").openapi()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in described()["paths"].items():
        for method, operation in found.items():
            yield method, path, operation


def test_the_description_is_a_valid_openapi_document() -> None:
    validate(described())


def test_every_operation_but_the_public_ones_asks_for_the_key() -> None:
    assert described()["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for method, path, operation in operations():
        assert ("security" in operation) == (path not in PUBLIC), (method, path)


def test_errors_are_described_in_the_shape_of_their_surface() -> None:
    shapes = {"/v1/jobs": "Problem", "/v1/files": "FileProblem", "/v1/embeddings": "ErrorBody"}
    for method, path, operation in operations():
        for status, response in operation["responses"].items():
            if status >= "400" and path in shapes:
                (content,) = response["content"].values()
                assert content["schema"]["$ref"].endswith(f"/{shapes[path]}"), (method, status)
    assert "HTTPValidationError" not in str(described())


def test_a_fine_tuning_body_is_typed() -> None:
    document = described()
    operation = document["paths"]["/v1/fine_tuning/jobs"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    fields = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert fields["required"] == ["model", "training_file"]
    assert "413" in operation["responses"]


def schema_of(content: dict[str, Any]) -> Draft202012Validator:
    """What checks values against the schema of a body, with the whole document to refer to."""
    schema = content["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": described()["components"]})


def described_operation(name: str) -> dict[str, Any]:
    method, path = name.lower().split(" ")
    operation: dict[str, Any] = described()["paths"][path][method]
    return operation


@pytest.mark.parametrize("name", examples.REQUESTS)
def test_the_example_of_a_call_is_one(name: str) -> None:
    content = described_operation(name)["requestBody"]["content"]
    schema_of(content).validate(content["application/json"]["example"])


@pytest.mark.parametrize("name", examples.ANSWERS)
def test_the_example_of_an_answer_is_one(name: str) -> None:
    responses = described_operation(name)["responses"]
    (content,) = [each["content"] for each in responses.values() if "example" in str(each)]
    schema_of(content).validate(content["application/json"]["example"])


def test_every_field_of_openais_bodies_says_what_it_means() -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
        body = described()["paths"][path]["post"]["requestBody"]
        fields = body["content"]["application/json"]["schema"]["properties"]
        assert [name for name, field in fields.items() if not field.get("description")] == []


def test_a_field_whose_values_are_names_lists_them() -> None:
    schemas = described()["components"]["schemas"]
    assert schemas["JobView"]["properties"]["status"]["enum"] == [
        "queued", "running", "paused", "succeeded", "failed", "cancelled",
    ]  # fmt: skip
    assert "prompt" in str(schemas["JobBody"]["properties"]["kind"])
    assert "rerank" in str(schemas["JobBody"]["properties"]["head"])


OUTPUT_OF = {
    "classify": "ClassifyOutput", "regress": "RegressOutput", "tag": "TagOutput",
    "span": "SpanOutput", "embed": "EmbedOutput", "rerank": "RerankOutput",
}  # fmt: skip
LABELS = {"classify": ["a", "b"], "tag": ["O", "B-x", "I-x"]}


@pytest.mark.parametrize("head", OUTPUT_OF)
async def test_an_output_has_the_fields_that_its_schema_names(tmp_path: Path, head: str) -> None:
    given: Any = {"span": {"question": "who?", "context": "Zoe is here"}}.get(head, "a text")
    given = {"text": "why?", "text_pair": "because"} if head == "rerank" else given
    labels = {"labels": LABELS[head]} if head in LABELS else {}
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "it", promote=True, head={"kind": head, **labels})
        answer = await http.post("/v1/tasks/it/predict", json={"inputs": [given]})
    (output,) = answer.json()["outputs"]
    schema = described()["components"]["schemas"][OUTPUT_OF[head]]
    Draft202012Validator(schema).validate(output)
    assert set(output) <= set(schema["properties"])


def test_what_is_streamed_is_said() -> None:
    streamed = {
        path
        for _, path, operation in operations()
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    }
    assert {path.removeprefix("/v1/") for path in streamed} == {
        "chat/completions", "completions", "jobs/{job_id}/events",
        "fine_tuning/jobs/{job_id}/events",
    }  # fmt: skip


async def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        page = await http.get("/docs")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        loaded = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
        assert len(loaded) == 3
        for path in loaded:
            assert "//" not in path
            answer = await http.get(f"/{path}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(
                "text/css" if path.endswith(".css") else "text/javascript"
            )


async def test_a_browser_shows_every_operation(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        url = f"http://127.0.0.1:{server.ports.http}/docs"
        shown = await browse(url, tmp_path / "profile", "--virtual-time-budget=20000", "--dump-dom")
    assert len(re.findall(r'class="opblock opblock-', shown)) == len(list(operations()))
    assert "Authorize" in shown


CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "response_headers_conformance", "unsupported_method",
)  # fmt: skip


@pytest.mark.parametrize(
    ("phases", "num_examples"),
    [("fuzzing", 2), pytest.param("examples,coverage,fuzzing", 20, marks=pytest.mark.slow)],
)
async def test_every_answer_is_one_that_is_described(
    tmp_path: Path, phases: str, num_examples: int
) -> None:
    """As schemathesis calls it, by the description alone."""
    async with running(tmp_path / "data") as server:
        publish(registry_of(server), "mood", promote=True)
        url = f"http://127.0.0.1:{server.ports.http}/openapi.json"
        calling = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            url,
            "--seed=1",
            "--no-color",
            f"--max-examples={num_examples}",
            f"--phases={phases}",
            f"--checks={','.join(CHECKS)}",
            "--generation-database=none",
            "--continue-on-failure",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await calling.communicate()
    assert calling.returncode == 0, told.decode()[-4000:]
    assert f"Tested: {len(list(operations()))}" in told.decode()
