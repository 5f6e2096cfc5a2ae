"""The client's settings. The only module of the client that reads the environment."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict, Unpack
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from adapterd.errors import BadSetting, NotFound
from adapterd.profiles import Profile, ProfileFile

DEFAULT_URL = "http://127.0.0.1:8000"
#: the variables of one server by the field that each sets
VARIABLES = {
    "url": "ADAPTERD_URL",
    "grpc": "ADAPTERD_GRPC",
    "api_key": "ADAPTERD_API_KEY",
    "ca_file": "ADAPTERD_CA_FILE",
    "cert_file": "ADAPTERD_CLIENT_CERT_FILE",
    "key_file": "ADAPTERD_CLIENT_KEY_FILE",
}
PROFILE_VARIABLE = "ADAPTERD_PROFILE"


class ConnectionOptions(TypedDict, total=False):
    """What a client takes beside the URL of its server."""

    #: host:port; by default learnt from the server
    grpc_target: str | None
    api_key: str | None
    #: the name of a stored profile, instead of a URL
    profile: str | None
    #: certificates of the authorities that may sign the server's; by default the public ones
    ca_file: Path | str | None
    #: the client's own certificate and its key, where the server asks for one
    cert_file: Path | str | None
    key_file: Path | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """One server: its address, and what it is shown.

    Without a gRPC address it is learnt from the server; without a URL only gRPC is used.
    """

    url: str | None = DEFAULT_URL
    grpc: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    #: the stored profile that gave the address
    profile: str | None = None

    @classmethod
    def load(cls, url: str | None = None, **options: Unpack[ConnectionOptions]) -> ClientSettings:
        """Arguments, else the environment, else the current profile, else the default.

        The address comes whole from the first of them that has one, so that a call is never split
        over two servers, and a profile's key is only sent to the profile's own address. A profile
        that is named by an argument comes before the environment.
        """
        profile, target = options.get("profile"), options.get("grpc_target")
        if profile and (url or target):
            raise BadSetting(
                f"{url or target} and the profile {profile!r} both name a server; pass one of them."
            )
        sources = [_arguments(url, options)]
        if profile:
            sources.append(_read_stored(profile))
        sources.append(_environment())
        if not any(source.has_address for source in sources):
            sources += _read_current()
        default = _Source(values=Profile(url=DEFAULT_URL))
        return _combine(sources, next((each for each in sources if each.has_address), default))

    @classmethod
    def of_profile(cls, profile: Profile) -> ClientSettings:
        """What a profile says that is not stored yet, whatever the environment does."""
        source = _Source(values=profile, url_name="--url", grpc_name="--grpc")
        return _combine([source], source)

    def require_url(self) -> str:
        """Raises BadSetting if only a gRPC address was given."""
        if self.url is None:
            raise BadSetting(
                f"Only the gRPC address {self.grpc} is given, and this call also uses HTTP; pass "
                "the URL of the same server, with --url or in ADAPTERD_URL."
            )
        return self.url

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    @property
    def uses_tls(self) -> bool:
        """Of both transports."""
        if self.url is None:
            return self.ca_file is not None or self.cert_file is not None
        return self.url.startswith("https://")

    @property
    def trusted_file(self) -> Path | None:
        """The authorities that are trusted: `ca_file`, or those of OpenSSL's own variable, which
        gRPC alone would not read.
        """
        return self.ca_file or _to_path(os.environ.get("SSL_CERT_FILE"))

    @property
    def sends_key_in_clear(self) -> bool:
        """Whether the key can be read on the way to another machine."""
        address = self.url or self.grpc or ""
        return self.api_key is not None and not self.uses_tls and not is_loopback(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Values of one source, and what users call its addresses."""

    values: Profile
    url_name: str = "url"
    grpc_name: str = "grpc"
    profile: str | None = None

    @property
    def has_address(self) -> bool:
        return bool(self.values.url or self.values.grpc)


def is_loopback(address: str) -> bool:
    """Whether a URL or gRPC target is this machine, which is never reached through a proxy."""
    try:
        host = urlsplit(f"//{address.rpartition('//')[2].lstrip('/')}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def uses_proxy(address: str) -> bool:
    """Whether the environment names a proxy for a URL or gRPC target."""
    if is_loopback(address):
        return False
    parts = urlsplit(address if "//" in address else f"//{address}")
    scheme = "https" if parts.scheme == "https" else "http"
    return scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def environment_without_settings() -> dict[str, str]:
    """This process's environment without adapterd's variables, for a server set up by flags."""
    return {name: value for name, value in os.environ.items() if not _is_ours(name)}


def quiet_grpc() -> None:
    """Call it before grpc is imported: it would write a line to stderr for every failed TLS
    handshake, which an error puts into words.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def profile_path() -> Path:
    """The file of profiles: in XDG_CONFIG_HOME, by default ~/.config."""
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "adapterd" / "config.toml"


def set_variables() -> list[str]:
    """The variables that are set and win over a current profile."""
    names = (*VARIABLES.values(), PROFILE_VARIABLE)
    return [name for name in names if os.environ.get(name)]


def current_profile(file: ProfileFile) -> str | None:
    """The name that ADAPTERD_PROFILE gives, else the file's current one."""
    return os.environ.get(PROFILE_VARIABLE) or file.current


def check_url(url: str, name: str) -> str:
    """Raises BadSetting, in which `name` is what the user set."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_url = is_url and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        is_url = False
    if not is_url:
        raise BadSetting(
            f"{name} is {url!r}, which is not the URL of a server; it must start with http:// or "
            f"https:// and name a host, such as {DEFAULT_URL}."
        )
    return url.rstrip("/")


def _combine(sources: Sequence[_Source], address: _Source) -> ClientSettings:
    url, grpc = address.values.url, address.values.grpc
    values = [source.values for source in sources]
    certificate = next((each for each in values if each.cert_file or each.key_file), Profile())
    if bool(certificate.cert_file) != bool(certificate.key_file):
        raise BadSetting(
            f"The client certificate {certificate.cert_file} and the key {certificate.key_file} "
            "are needed together; pass both, or neither."
        )
    return ClientSettings(
        url=check_url(url, address.url_name) if url else None,
        grpc=_check_target(grpc, address.grpc_name) if grpc else None,
        api_key=_check_key(next((each.api_key for each in values if each.api_key), None) or ""),
        ca_file=_to_path(next((each.ca_file for each in values if each.ca_file), None)),
        cert_file=_to_path(certificate.cert_file),
        key_file=_to_path(certificate.key_file),
        profile=address.profile,
    )


def _arguments(url: str | None, options: ConnectionOptions) -> _Source:
    values = Profile(
        url=url,
        grpc=options.get("grpc_target"),
        api_key=options.get("api_key"),
        ca_file=_to_text(options.get("ca_file")),
        cert_file=_to_text(options.get("cert_file")),
        key_file=_to_text(options.get("key_file")),
    )
    return _Source(values=values, url_name="url", grpc_name="grpc_target")


def _environment() -> _Source:
    values = {name: os.environ.get(variable) or None for name, variable in VARIABLES.items()}
    return _Source(values=Profile(**values), url_name=VARIABLES["url"], grpc_name=VARIABLES["grpc"])


def _read_current() -> list[_Source]:
    name = current_profile(ProfileFile.read(profile_path()))
    return [_read_stored(name)] if name else []


def _read_stored(name: str) -> _Source:
    try:
        values = ProfileFile.read(profile_path()).get(name)
    except NotFound as error:
        raise BadSetting(str(error)) from error
    return _Source(
        values=values,
        url_name=f"The url of the profile {name!r}",
        grpc_name=f"The grpc of the profile {name!r}",
        profile=name,
    )


def _to_text(path: Path | str | None) -> str | None:
    return str(path) if path else None


def _to_path(name: str | None) -> Path | None:
    return Path(name).expanduser() if name else None


def _is_ours(name: str) -> bool:
    return name.upper().startswith("ADAPTERD_")


def _check_target(target: str, name: str) -> str:
    if urlsplit(target).scheme in ("http", "https", "grpc", "grpcs"):
        raise BadSetting(f"{name} is {target!r}; it must be host:port, without a scheme")
    return target


def _check_key(key: str) -> str | None:
    """The key without the newline that it often has when read from a file."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise BadSetting("The API key contains characters that no API key has.")
    return key or None
