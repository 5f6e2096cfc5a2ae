"""What answers over HTTP may not be adapterd, and the client says so."""

from __future__ import annotations

import httpx
import pytest

from adapterd.errors import AdapterdError, BadSetting, ServerFailed
from adapterd.settings import ClientSettings
from adapterd.wire.transfer import Fetch, Transfer

INFO = Fetch(method="GET", path="/v1/info")


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (httpx.Response(200, text="<html>"), ServerFailed, "other than JSON"),
        (httpx.Response(200, content=b"\xff"), ServerFailed, "other than JSON"),
        (
            httpx.Response(301, headers={"location": "https://b.example/v1/info"}),
            BadSetting,
            "redirects to https://b.example/v1/info; pass the address",
        ),
        (httpx.Response(200, json=["a"]), ServerFailed, "not an object"),
        (httpx.Response(404, text="<html>"), BadSetting, "answered 404 without adapterd's error"),
        (
            httpx.Response(502, text="{", headers={"content-type": "application/json"}),
            ServerFailed,
            "answered 502",
        ),
    ],
)
def test_an_answer_that_is_not_adapterd_s_is_a_typed_error(
    response: httpx.Response, kind: type[AdapterdError], words: str
) -> None:
    answering = httpx.MockTransport(lambda request: response)
    transfer = Transfer(ClientSettings(), answering)
    with pytest.raises(kind, match=words):
        transfer.send(INFO)
    transfer.close()
