"""API keys: a file of hashed keys, each with its tenant and role. A key is shown once, when it is
created, and never stored.

The file has one JSON object per line: {"id", "tenant", "role", "hash", "created_at"}, and
"expires_at" of a key that expires.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from server.auth.key import Key, check_role, check_tenant, is_valid, make_key, match_key
from server.errors import BadKey, BadKeyFile

#: a revoked key stops working within this many seconds
RELOAD_S = 1.0


class KeyRing:
    """The keys of a file, reloaded when the file changes."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        on_gone: Callable[[str], object] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`on_gone` is called with each tenant whose last key was revoked; by `now` keys expire."""
        self._path, self._on_gone = path, on_gone
        self._clock, self._now = clock, now
        with suppress(OSError):  # a mounted secret has the mode that its mount gives it
            path.chmod(0o600)
        #: None while the file cannot be read
        self._stamp: tuple[int, int, int] | None = _stamp(path)
        self._keys = {key.id: key for key in list_keys(path)}
        self._tenants = {key.tenant for key in self._keys.values()}
        self._checked_at = clock()
        if not self._keys:
            raise BadKeyFile(f"{path} holds no key; create one with `adapterd keys create`")

    def check(self, token: str) -> Key:
        """The key of a token. Raises Unauthenticated."""
        self._follow_file()
        return match_key(self._keys, token, self._now())

    def find(self, key_id: str) -> Key | None:
        """The key as it is in the file now; None once it was revoked or has expired."""
        self._follow_file()
        key = self._keys.get(key_id)
        return key if key is not None and is_valid(key, self._now()) else None

    def _follow_file(self) -> None:
        now = self._clock()
        if now - self._checked_at < RELOAD_S:
            return
        self._checked_at = now
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._keys = {key.id: key for key in list_keys(self._path)}
                self._stamp = stamp
                self._report_gone()
        except BadKeyFile:
            # fails closed: if the file is missing or invalid, no key is valid until it can be read
            self._stamp, self._keys = None, {}
            raise

    def _report_gone(self) -> None:
        before, self._tenants = self._tenants, {key.tenant for key in self._keys.values()}
        for tenant in before - self._tenants:
            self._on_gone(tenant)


def create_key(
    path: Path, tenant: str, role: str, expires_at: float | None = None
) -> tuple[Key, str]:
    """A new key and its token, which cannot be shown again. Creates the file if there is none.
    Raises BadKey and BadKeyFile.
    """
    key, token = make_key(tenant, role, time.time(), expires_at)
    with _lock_file(path):
        _write(path, [*(list_keys(path) if path.exists() else []), key])
    return key, token


def list_keys(path: Path) -> list[Key]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeyFile(f"the key file {path} cannot be read: {error}") from error
    return [_parse(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def revoke_key(path: Path, key_id: str) -> Key:
    """Removes a key from the file; a running server refuses it within RELOAD_S."""
    with _lock_file(path):
        keys = list_keys(path)
        revoked = next((key for key in keys if key.id == key_id), None)
        if revoked is None:
            raise BadKeyFile(f"{path} holds no key {key_id}")
        _write(path, [key for key in keys if key.id != key_id])
    return revoked


def _parse(path: Path, number: int, line: str) -> Key:
    try:
        key = Key(**json.loads(line))
        check_tenant(key.tenant)
        check_role(key.role)
    except BadKey as error:
        raise BadKeyFile(f"line {number} of {path}: {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        # the line itself stays out of the message: it may be a key pasted by mistake
        raise BadKeyFile(f"line {number} of {path} is not a key record") from error
    return key


def _record_of(key: Key) -> dict[str, object]:
    """A release that knows no expiry can read the keys that have none."""
    return {name: value for name, value in asdict(key).items() if value is not None}


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise BadKeyFile(f"the key file {path} cannot be read: {error}") from error
    return status.st_mtime_ns, status.st_size, status.st_ino


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    """Held from reading the file until replacing it, by one process and thread at a time; without
    it, a writer could restore a key that was revoked in between.

    The lock is on a second file, because the key file itself is replaced each time.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_path = path.with_name(f".{path.name}.lock")
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, keys: Iterable[Key]) -> None:
    """Replaces the file atomically and durably, readable by its owner only."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(json.dumps(_record_of(key)) + "\n" for key in keys)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        # otherwise a power failure could restore the old file, and with it a revoked key
        _sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: OSError) -> BadKeyFile:
    return BadKeyFile(f"the key file {path} cannot be written: {error}")
