"""The two kinds of shared state, by turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.places import EmbeddedPlaces, Places, RemotePlaces


@pytest.fixture(params=["embedded", "remote"])
def places(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Places]:
    if request.param == "embedded":
        yield EmbeddedPlaces(tmp_path)
        return
    bucket = request.getfixturevalue("s3_bucket")
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    remote = RemotePlaces(tmp_path, request.getfixturevalue("databases"), bucket)
    yield remote
    remote.close()
