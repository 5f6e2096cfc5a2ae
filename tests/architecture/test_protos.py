"""The committed protobuf code is what the .proto files generate."""

from __future__ import annotations

from tests.architecture.generated_code import stale_files


def test_generated_protobuf_code_is_current() -> None:
    assert stale_files() == []
