"""A certificate authority of the test, and files of the certificates that it signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Signs certificates into a folder."""

    folder: Path
    ca: trustme.CA = field(default_factory=lambda: trustme.CA(key_type=trustme.KeyType.ECDSA))

    @property
    def file(self) -> Path:
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(path)
        return path

    def issue(
        self, *names: str, file: str = "server", begin_days: float = -1, end_days: float = 30
    ) -> Pair:
        """`begin_days` and `end_days` count from now."""
        now = datetime.now(UTC)
        leaf = self.ca.issue_cert(
            *names,
            not_before=now + timedelta(days=begin_days),
            not_after=now + timedelta(days=end_days),
            key_type=trustme.KeyType.ECDSA,
        )
        pair = Pair(cert=self.folder / f"{file}.pem", key=self.folder / f"{file}.key")
        pair.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(pair.key)
        return pair


def make_authority(folder: Path, name: str = "authority") -> Authority:
    (folder / name).mkdir()
    return Authority(folder=folder / name)
