"""Concurrent calls of two tasks over both transports, whose rows share forward passes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from adapterd.client.async_client import AsyncClient
from adapterd.values import Classification, Prediction, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One answer, as the demo prints it."""

    transport: str
    task: str
    version: int
    digest: str
    text: str
    answer: str


async def call_both(
    client: AsyncClient, url: str, tasks: Sequence[str], texts: Sequence[str]
) -> list[Row]:
    """Sends every text to every task at the same time, half over gRPC and half over HTTP."""
    async with httpx.AsyncClient(base_url=url, timeout=30.0, trust_env=False) as http:
        calls = [
            _call_grpc(client, task, text) if number % 2 == 0 else _call_http(http, task, text)
            for number, text in enumerate(texts)
            for task in tasks
        ]
        return await asyncio.gather(*calls)


async def _call_grpc(client: AsyncClient, task: str, text: str) -> Row:
    prediction = (await client.predict(task, text)).raise_for_errors()
    return Row(
        transport="gRPC",
        task=prediction.task,
        version=prediction.version,
        digest=prediction.digest,
        text=text,
        answer=_format_prediction(prediction),
    )


async def _call_http(http: httpx.AsyncClient, task: str, text: str) -> Row:
    response = await http.post(f"/v1/tasks/{task}/predict", json={"inputs": [text]})
    body = response.raise_for_status().json()
    return Row(
        transport="HTTP",
        task=body["task"],
        version=body["version"],
        digest=body["digest"],
        text=text,
        answer=_format_json(body["outputs"][0]),
    )


def _format_prediction(prediction: Prediction) -> str:
    match prediction.outputs[0]:
        case Classification(label=label, score=score):
            return f"{label} {score:.2f}"
        case Value(value=value):
            return f"{value:+.2f}"
        case other:
            return str(other)


def _format_json(output: dict[str, Any]) -> str:
    if "label" in output:
        return f"{output['label']} {output['score']:.2f}"
    return f"{output['value']:+.2f}" if "value" in output else str(output)
