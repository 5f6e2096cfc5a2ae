"""A worker of another machine keeps no copy of what was deleted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from engine.testing.fake_engine import FakeEngine
from server import worker
from tests.server.build import settings
from tests.services.s3 import S3Bucket


@pytest.mark.survival("F7")
def test_a_worker_drops_its_copies_of_what_others_deleted(
    tmp_path: Path, s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    data, stop = tmp_path / "data", threading.Event()
    copy = data / "cache" / "ab" / ("ab" * 32)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"secret rows")
    chosen = settings(data, blobs_url=s3_bucket.url, collect_every_s=0.05)
    thread = threading.Thread(target=worker.work, args=(chosen, stop, FakeEngine()))
    thread.start()
    while copy.exists():
        assert thread.is_alive()
    stop.set()
    thread.join()
