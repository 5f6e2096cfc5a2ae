"""The tests' S3 server keeps the promises that the platform relies on."""

from __future__ import annotations

import threading

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError

from tests.services.s3 import S3Bucket

BIG = b"x" * (6 * 2**20)


@pytest.mark.parametrize("content", [b"second", BIG], ids=["whole", "in parts"])
def test_a_second_create_only_put_is_refused(s3_bucket: S3Bucket, content: bytes) -> None:
    store = s3_bucket.open_store()
    obstore.put(store, "key", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(
            store, "key", content, mode="create", use_multipart=content == BIG, chunk_size=5 * 2**20
        )
    assert bytes(obstore.get(store, "key").bytes()) == b"first"


def test_of_create_only_puts_at_the_same_time_one_is_accepted(s3_bucket: S3Bucket) -> None:
    store = s3_bucket.open_store()
    accepted: list[tuple[str, int]] = []

    def put(key: str, writer: int) -> None:
        try:
            obstore.put(store, key, str(writer).encode(), mode="create")
        except AlreadyExistsError:
            return
        accepted.append((key, writer))

    for key in "abcdefgh":
        threads = [threading.Thread(target=put, args=(key, writer)) for writer in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(key for key, _ in accepted) == list("abcdefgh")
    for key, writer in accepted:
        assert bytes(obstore.get(store, key).bytes()) == str(writer).encode()


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_bucket_is_fresh_for_each_test(s3_bucket: S3Bucket, attempt: int) -> None:
    store = s3_bucket.open_store()
    assert list(obstore.list(store)) == []
    obstore.put(store, "key", b"left over")


def test_a_process_reaches_the_bucket_by_the_variables_alone(
    s3_bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    obstore.put(obstore.store.from_url(s3_bucket.url), "key", b"content")
    assert bytes(obstore.get(s3_bucket.open_store(), "key").bytes()) == b"content"
