"""The server's TLS certificate, for both transports, reloaded when its files change.

Knows the files and no port.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc

from server.errors import BadCertificate

#: renewed files serve new connections within this many seconds
RELOAD_S = 1.0

_log = logging.getLogger(__name__)
_Stamps = Mapping[Path, tuple[int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """PEM files. With `client_ca`, each client needs a certificate of one of its authorities."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """The files, as each transport takes them."""

    http: ssl.SSLContext
    grpc: grpc.ServerCertificateConfiguration
    stamps: _Stamps


class Certificates:
    """A certificate that is followed through its renewals. Safe to share between threads."""

    def __init__(
        self, files: CertificateFiles, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises BadCertificate."""
        self._files, self._clock = files, clock
        self._lock = threading.Lock()
        self._loaded = _load(files)
        #: of the last attempt, so that a broken renewal is logged once
        self._seen = self._loaded.stamps
        self._checked_at = clock()

    @classmethod
    def open(cls, cert: Path | None, key: Path | None, client_ca: Path | None) -> Self | None:
        """None without a certificate. Raises BadCertificate."""
        if cert is None or key is None:
            return None
        return cls(CertificateFiles(cert=cert, key=key, client_ca=client_ca))

    def http_context(self) -> ssl.SSLContext:
        """The context for the next connection."""
        return self._follow_files().http

    def grpc_credentials(self) -> grpc.ServerCredentials:
        return grpc.dynamic_ssl_server_credentials(
            self._loaded.grpc,
            lambda: self._follow_files().grpc,
            require_client_authentication=self._files.client_ca is not None,
        )

    def _follow_files(self) -> _Loaded:
        """A renewal that cannot be used changes nothing: the certificate before it stays."""
        with self._lock:
            now = self._clock()
            if now - self._checked_at >= RELOAD_S:
                self._checked_at = now
                stamps = _stamps(self._files)
                if stamps != self._seen:
                    self._seen = stamps
                    self._reload()
            return self._loaded

    def _reload(self) -> None:
        try:
            self._loaded = _load(self._files)
        except BadCertificate as error:
            _log.warning(
                "the renewed certificate is not used: %s", error,
                extra={"action": "certificate.refused"},
            )  # fmt: skip
        else:
            _log.info("the certificate was reloaded", extra={"action": "certificate.reloaded"})


def _load(files: CertificateFiles) -> _Loaded:
    stamps = _stamps(files)  # before the files are read: a later change is loaded again
    cert = _read("tls_cert_file", files.cert, b"-----BEGIN CERTIFICATE-----", "certificate")
    key = _read("tls_key_file", files.key, b"PRIVATE KEY-----", "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, files)
    client_ca = None
    if files.client_ca is not None:
        name = "tls_client_ca_file"
        client_ca = _read(name, files.client_ca, b"-----BEGIN CERTIFICATE-----", "certificate")
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cafile=files.client_ca)
        except OSError as error:
            raise BadCertificate(f"{name} {files.client_ca} cannot be used: {error}") from error
    return _Loaded(
        http=context,
        grpc=grpc.ssl_server_certificate_configuration([(key, cert)], client_ca),
        stamps=stamps,
    )


def _load_pair(context: ssl.SSLContext, files: CertificateFiles) -> None:
    def refuse_password() -> str:
        raise BadCertificate(
            f"The key in tls_key_file {files.key} is encrypted with a passphrase; the server has "
            "nobody to ask for it. Store the key without a passphrase, readable by the server only."
        )

    try:
        context.load_cert_chain(files.cert, files.key, password=refuse_password)
    except OSError as error:  # of SSL, or of a file that went away meanwhile
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise BadCertificate(
                f"The key in tls_key_file {files.key} is not the key of the certificate in "
                f"tls_cert_file {files.cert}; both must come from the same request."
            ) from error
        raise BadCertificate(
            f"tls_cert_file {files.cert} and tls_key_file {files.key} cannot be used: {error}"
        ) from error


def _read(setting: str, path: Path, mark: bytes, noun: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadCertificate(f"{setting} {path} cannot be read: {error.strerror}") from error
    if mark not in content:
        raise BadCertificate(
            f"{setting} {path} contains no {noun} in PEM format (text that begins with "
            f"-----BEGIN …); is it the right file?"
        )
    return content


def _stamps(files: CertificateFiles) -> _Stamps:
    """What changes when a file is replaced; without files that cannot be looked at."""
    stamps = {}
    for path in (files.cert, files.key, files.client_ca):
        if path is not None:
            with contextlib.suppress(OSError):
                status = path.stat()
                stamps[path] = (status.st_mtime_ns, status.st_ino, status.st_size)
    return stamps
