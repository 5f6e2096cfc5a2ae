"""What HTTP requests are refused for before any route reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.build import http_client, running


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
