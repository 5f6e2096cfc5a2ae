"""TLS on the client's side: which authorities are trusted, and the client's own certificate.

The same files serve both transports.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import httpx

from adapterd.errors import BadSetting
from adapterd.settings import ClientSettings


def make_context(settings: ClientSettings) -> ssl.SSLContext:
    """For HTTP. Raises BadSetting if a file cannot be used."""
    trusted = settings.trusted_file
    if trusted is None:
        context = httpx.create_ssl_context()
    else:
        _read(trusted, "ca_file")
        try:
            context = ssl.create_default_context(cafile=trusted)
        except ssl.SSLError as error:
            raise BadSetting(
                f"ca_file {trusted} contains no certificate in PEM format (text that begins with "
                "-----BEGIN CERTIFICATE-----); is it the right file?"
            ) from error
    _load_pair(context, settings)
    return context


def make_credentials(settings: ClientSettings) -> grpc.ChannelCredentials:
    """For gRPC. Raises BadSetting if a file cannot be used."""
    make_context(settings)  # gRPC itself says nothing about a file that it cannot use
    trusted, cert, key = settings.trusted_file, settings.cert_file, settings.key_file
    return grpc.ssl_channel_credentials(
        root_certificates=_read(trusted, "ca_file") if trusted else None,
        private_key=_read(key, "key_file") if key else None,
        certificate_chain=_read(cert, "cert_file") if cert else None,
    )


def _load_pair(context: ssl.SSLContext, settings: ClientSettings) -> None:
    cert, key = settings.cert_file, settings.key_file
    if cert is None or key is None:
        return

    def refuse_password() -> str:
        raise BadSetting(f"The key in key_file {key} is encrypted; store it without a passphrase.")

    _read(cert, "cert_file")
    _read(key, "key_file")
    try:
        context.load_cert_chain(cert, key, password=refuse_password)
    except ssl.SSLError as error:
        fault = f"cannot be used: {error}"
        if error.reason == "KEY_VALUES_MISMATCH":
            fault = "do not belong together"
        raise BadSetting(f"cert_file {cert} and key_file {key} {fault}") from error


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSetting(f"{name} {path} cannot be read: {error.strerror}") from error
