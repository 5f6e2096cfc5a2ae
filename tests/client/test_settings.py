"""Where the client looks for its server."""

from __future__ import annotations

import pytest

from adapterd.errors import BadSetting
from adapterd.settings import (
    PROFILE_VARIABLE,
    VARIABLES,
    ClientSettings,
    environment_without_settings,
    is_loopback,
)
from server.settings_sources import CLIENT_VARIABLES
from tests.architecture.sources import ROOT


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


def test_without_anything_it_is_the_default_url_on_loopback() -> None:
    settings = ClientSettings.load()
    assert (settings.url, settings.grpc) == ("http://127.0.0.1:8000", None)
    assert settings.authorization == {}


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERD_URL", "http://env:1")
    monkeypatch.setenv("ADAPTERD_API_KEY", "secret")
    assert ClientSettings.load().url == "http://env:1"
    assert ClientSettings.load(url="http://argument:2/").url == "http://argument:2"
    assert ClientSettings.load().authorization == {"authorization": "Bearer secret"}


def test_a_grpc_address_beside_a_url_of_a_higher_rank_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It belongs to another server, and a command would be split over two."""
    monkeypatch.setenv("ADAPTERD_GRPC", "env:1")
    settings = ClientSettings.load("http://argument:2")
    assert (settings.url, settings.grpc) == ("http://argument:2", None)


def test_a_grpc_address_alone_brings_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERD_GRPC", "env:1")
    settings = ClientSettings.load()
    assert (settings.url, settings.grpc) == (None, "env:1")
    with pytest.raises(BadSetting, match="Only the gRPC address env:1 is given"):
        settings.require_url()


def test_the_environment_names_both_addresses_of_one_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADAPTERD_URL", "http://env:1")
    monkeypatch.setenv("ADAPTERD_GRPC", "env:2")
    settings = ClientSettings.load()
    assert (settings.url, settings.grpc) == ("http://env:1", "env:2")


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://x", "http://", "http://[", "http://x:port", "http://a b", "nothing"],
)
def test_what_is_no_url_is_refused_by_the_name_of_its_variable(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTERD_URL", url)
    with pytest.raises(BadSetting, match=r"ADAPTERD_URL is .* not the URL of a server"):
        ClientSettings.load()


def test_a_certificate_without_its_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERD_CLIENT_CERT_FILE", "mine.pem")
    with pytest.raises(BadSetting, match=r"mine\.pem and the key None are needed together"):
        ClientSettings.load()


def test_a_server_knows_the_variables_of_clients_and_they_are_documented() -> None:
    variables = {*VARIABLES.values(), PROFILE_VARIABLE}
    assert variables == CLIENT_VARIABLES
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert {name for name in variables if f"`{name}`" not in page} == set()


def test_the_settings_as_text_hide_the_key() -> None:
    assert "adk_1" not in repr(ClientSettings.load(api_key="adk_1"))


@pytest.mark.parametrize(
    ("address", "leads_here"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000/", True),
        ("http://[::1]:8000", True),
        ("127.0.0.1:8001", True),
        ("dns:///localhost:8001", True),
        ("https://example.org", False),
        ("10.0.0.1:8001", False),
        ("http://[", False),
    ],
)
def test_an_address_of_this_machine_is_known(address: str, leads_here: bool) -> None:
    assert is_loopback(address) is leads_here


def test_a_server_set_up_by_flags_gets_no_variable_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERD_KEYS_FILE", "keys.jsonl")
    monkeypatch.setenv("OTHER", "1")
    environment = environment_without_settings()
    assert environment["OTHER"] == "1"
    assert not [name for name in environment if name.startswith("ADAPTERD_")]


def test_a_grpc_target_with_a_scheme_is_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="host:port, without a scheme"):
        ClientSettings.load(grpc_target="http://127.0.0.1:8001")
    assert ClientSettings.load(grpc_target="dns:///models:8001").grpc == "dns:///models:8001"


def test_a_key_is_read_without_the_end_of_its_line() -> None:
    assert ClientSettings.load(api_key="adk_1\n").api_key == "adk_1"
    assert ClientSettings.load(api_key=" \n").api_key is None
    for key in ("adk_1\nadk_2", "adk_é"):
        with pytest.raises(BadSetting, match="The API key contains"):
            ClientSettings.load(api_key=key)
