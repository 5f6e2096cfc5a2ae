"""Says why an address cannot be used, in one sentence with the way out.

A transport reports only that it failed. This looks once more: does a program listen, does it speak
TLS, is its certificate to be trusted, does it speak the protocol of the port?
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from adapterd.errors import AdapterdError, BadSetting, DeadlineExceeded, Unavailable
from adapterd.settings import ClientSettings, uses_proxy
from adapterd.wire.certificate_faults import describe_client_fault, describe_server_fault
from adapterd.wire.encryption import make_context
from adapterd.wire.status_errors import from_transport

_TIMEOUT_S = 3.0
#: how long a server may take to refuse a client's certificate
_REFUSAL_S = 0.5
_HTTP_HELLO = b"GET /health/live HTTP/1.1\r\nHost: adapterd\r\nConnection: close\r\n\r\n"
#: the connection preface of HTTP/2 and an empty SETTINGS frame
_GRPC_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One address of a server and what is expected there."""

    #: as the user knows it
    name: str
    host: str
    port: int
    is_grpc: bool
    settings: ClientSettings

    @property
    def other_scheme(self) -> str:
        """The URL with http for https and the other way round."""
        scheme, _, rest = (self.settings.url or f"http://{self.name}").partition("://")
        return f"{'http' if scheme == 'https' else 'https'}://{rest}"


def explain_http(error: httpx.TransportError, settings: ClientSettings) -> AdapterdError:
    """The error of a request that got no answer."""
    plain = from_transport(error)
    if isinstance(plain, DeadlineExceeded):
        return plain
    return diagnose(http_peer(settings)) or plain


def is_unanswered(error: AdapterdError) -> bool:
    """Whether a call ended because no server was there, and not by a server's own answer."""
    return type(error) is Unavailable and error.problem == Unavailable.code


def explain_grpc(error: AdapterdError, target: str, settings: ClientSettings) -> AdapterdError:
    """The error of a call that no server has answered."""
    peer = grpc_peer(target, settings)
    return (diagnose(peer) if peer else None) or error


def http_peer(settings: ClientSettings) -> Peer:
    url = settings.require_url()
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Peer(name=url, host=parts.hostname or "", port=port, is_grpc=False, settings=settings)


def grpc_peer(target: str, settings: ClientSettings) -> Peer | None:
    """None for a target that is not host and port, such as one of several addresses."""
    try:
        parts = urlsplit(f"//{target.removeprefix('dns:').lstrip('/')}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or port is None:
        return None
    return Peer(name=target, host=host, port=port, is_grpc=True, settings=settings)


def diagnose(peer: Peer) -> AdapterdError | None:
    """What is wrong with the address; None if nothing is, or if a proxy is in between."""
    if uses_proxy(peer.settings.url if peer.settings.url and not peer.is_grpc else peer.name):
        return None
    try:
        with socket.create_connection((peer.host, peer.port), _TIMEOUT_S) as sock:
            if peer.settings.uses_tls:
                return _look_at_tls(sock, peer)
            return _look_at_protocol(sock, peer)
    except socket.gaierror:
        return Unavailable(
            f"The host name {peer.host!r} of {peer.name} is not known; check its spelling, or pass "
            "another address with --url or in ADAPTERD_URL."
        )
    except OSError as error:
        return _describe_silence(peer, error)


def _describe_silence(peer: Peer, error: OSError) -> AdapterdError:
    settings = peer.settings
    if peer.is_grpc and settings.grpc is None:
        return Unavailable(
            f"The server at {settings.url} names {peer.name} as its gRPC address, and nothing "
            "answers there. If clients reach it elsewhere, set grpc_address on the server, or "
            "ADAPTERD_GRPC here beside ADAPTERD_URL."
        )
    silence = f"No server answers at {peer.name}"
    if settings.profile is not None:
        return Unavailable(
            f"{silence}, the address of the profile {settings.profile!r}. Start it, or choose "
            "another server with --profile or --url (`adapterd profiles` lists those stored)."
        )
    reason = "" if isinstance(error, ConnectionRefusedError) else f" ({error.strerror or error})"
    return Unavailable(
        f"{silence}{reason}. Start one with `adapterd serve`, or pass --url / set ADAPTERD_URL."
    )


def _look_at_tls(sock: socket.socket, peer: Peer) -> AdapterdError | None:
    context = make_context(peer.settings)
    context.set_alpn_protocols(["h2"] if peer.is_grpc else ["http/1.1"])
    try:
        secure = context.wrap_socket(sock, server_hostname=peer.host)
    except ssl.SSLCertVerificationError as error:
        return describe_server_fault(error, peer.name, (peer.host, peer.port), peer.settings)
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            return describe_client_fault(peer.name, peer.settings)
        return BadSetting(
            f"{peer.name} does not speak TLS; pass {peer.other_scheme}, or give the server a "
            "certificate (tls_cert_file and tls_key_file)."
        )
    with secure:
        if peer.is_grpc and secure.selected_alpn_protocol() != "h2":
            return _describe_other_port(peer)
        if _stays_open(secure):
            return None
    if not peer.is_grpc and _negotiate(peer, "h2") == "h2":
        return _describe_other_port(peer)
    return describe_client_fault(peer.name, peer.settings)


def _stays_open(secure: ssl.SSLSocket) -> bool:
    """A server that refuses the client's certificate says so by closing, after the handshake."""
    secure.settimeout(_REFUSAL_S)
    try:
        return secure.recv(1) != b""
    except TimeoutError:
        return True  # it waits for a request
    except OSError:
        return False


def _look_at_protocol(sock: socket.socket, peer: Peer) -> AdapterdError | None:
    sock.settimeout(_TIMEOUT_S)
    try:
        sock.sendall(_GRPC_HELLO if peer.is_grpc else _HTTP_HELLO)
        answer = sock.recv(64)
    except OSError:
        answer = b""
    is_http = answer.startswith(b"HTTP/1.")
    # a SETTINGS frame of the whole connection comes first
    is_grpc = len(answer) >= 9 and answer[3] == 4 and answer[5:9] == bytes(4)
    if is_grpc if peer.is_grpc else is_http:
        return None
    if is_http or is_grpc:
        return _describe_other_port(peer)
    if _negotiate(peer, "h2" if peer.is_grpc else "http/1.1") is not None:
        return BadSetting(f"{peer.name} speaks TLS; pass {peer.other_scheme}.")
    if answer:
        return BadSetting(
            f"A program that is not adapterd answers at {peer.name} (it says {answer[:24]!r}); "
            "pass the HTTP address of a server with --url or in ADAPTERD_URL."
        )
    return Unavailable(f"What listens at {peer.name} closed the connection without an answer.")


def _describe_other_port(peer: Peer) -> AdapterdError:
    port, other = ("an HTTP", "gRPC") if peer.is_grpc else ("a gRPC", "HTTP")
    return BadSetting(
        f"{peer.name} is {port} port, and the {other} address is needed here; --url and "
        "ADAPTERD_URL take the HTTP address, ADAPTERD_GRPC the other."
    )


def _negotiate(peer: Peer, protocol: str) -> str | None:
    """The protocol that the port chooses for this offer, empty if none; None if it has no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    try:
        with socket.create_connection((peer.host, peer.port), _TIMEOUT_S) as sock:
            with context.wrap_socket(sock, server_hostname=peer.host) as secure:
                return secure.selected_alpn_protocol() or ""
    except OSError:
        return None
