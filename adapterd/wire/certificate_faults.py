"""Puts a failed TLS handshake into words: whose certificate was refused, why, and what to do."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from adapterd.errors import AdapterdError, Unauthenticated, Untrusted
from adapterd.settings import ClientSettings
from adapterd.wire.encryption import make_context

_TIMEOUT_S = 3.0
#: codes of OpenSSL's verification (x509_vfy.h)
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
#: OpenSSL's flag that leaves dates alone, which Python does not name
_NO_CHECK_TIME = 0x200000


def describe_client_fault(name: str, settings: ClientSettings) -> AdapterdError:
    """The server has taken the handshake, and then closed the connection."""
    if settings.cert_file is None:
        return Unauthenticated(
            f"{name} closes the connection after the TLS handshake, as a server does that requires "
            "a client certificate; pass cert_file and key_file (--cert-file and --key-file of "
            "`adapterd login`, or ADAPTERD_CLIENT_CERT_FILE and ADAPTERD_CLIENT_KEY_FILE).",
            problem="certificate_required",
        )
    return Unauthenticated(
        f"{name} does not accept the client certificate {settings.cert_file}; it must be valid now "
        "and signed by an authority in the server's tls_client_ca_file.",
        problem="certificate_refused",
    )


def describe_server_fault(
    error: ssl.SSLCertVerificationError,
    name: str,
    address: tuple[str, int],
    settings: ClientSettings,
) -> AdapterdError:
    """The server's certificate was not accepted here."""
    return Untrusted(_describe_server(error, name, address, settings))


def _describe_server(
    error: ssl.SSLCertVerificationError,
    name: str,
    address: tuple[str, int],
    settings: ClientSettings,
) -> str:
    if error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        names = _names(_read_certificate(address, settings, _ignore_host))
        return (
            f"The certificate of {name} is made out to {names or 'another name'}, and not to "
            f"{address[0]}; call the server by a name in its certificate, or give it a "
            f"certificate that names {address[0]}."
        )
    if error.verify_code in (_EXPIRED, _NOT_YET_VALID):
        certificate = _read_certificate(address, settings, _ignore_dates)
        return _describe_dates(name, certificate, is_past=error.verify_code == _EXPIRED)
    if settings.trusted_file is not None:
        trusted = f"none of the authorities in {settings.trusted_file} has signed it"
    else:
        trusted = "none of the public authorities has signed it"
    return (
        f"The certificate of {name} is not trusted: {trusted} ({error.verify_message}). Pass the "
        "certificate of the authority that did as ca_file (--ca-file of `adapterd login`, or "
        "ADAPTERD_CA_FILE)."
    )


def _describe_dates(name: str, certificate: Mapping[str, Any], *, is_past: bool) -> str:
    now = datetime.now(UTC)
    clock = f"the clock of this machine says {now:%Y-%m-%d %H:%M} UTC"
    if is_past:
        since = _format_date(certificate.get("notAfter"))
        return (
            f"The certificate of {name} expired{since}, and {clock}; renew the certificate of the "
            "server, or set the clock right."
        )
    since = _format_date(certificate.get("notBefore"))
    return (
        f"The certificate of {name} is not valid yet (it will be{since}), and {clock}; set the "
        "clock right, or wait."
    )


def _format_date(date: object) -> str:
    if not isinstance(date, str):
        return ""
    moment = datetime.fromtimestamp(ssl.cert_time_to_seconds(date), UTC)
    return f" on {moment:%Y-%m-%d %H:%M} UTC"


def _names(certificate: Mapping[str, Any]) -> str:
    return ", ".join(str(value) for _, value in certificate.get("subjectAltName", ()))


def _read_certificate(
    address: tuple[str, int], settings: ClientSettings, relax: Callable[[ssl.SSLContext], None]
) -> Mapping[str, Any]:
    """The server's certificate by a handshake that leaves out one check; empty if that fails.
    Nothing is sent.
    """
    context = make_context(settings)
    relax(context)
    try:
        with socket.create_connection(address, _TIMEOUT_S) as sock:
            with context.wrap_socket(sock, server_hostname=address[0]) as secure:
                return secure.getpeercert() or {}
    except OSError:
        return {}


def _ignore_host(context: ssl.SSLContext) -> None:
    context.check_hostname = False


def _ignore_dates(context: ssl.SSLContext) -> None:
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
