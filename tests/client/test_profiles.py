"""Servers stored with `adapterd login`: who reads them, what they hold, what comes before them."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapterd import Client
from adapterd.cli.exit_codes import ExitCode
from adapterd.errors import BadSetting, NotFound
from adapterd.profiles import Profile, ProfileFile
from adapterd.settings import VARIABLES, ClientSettings, profile_path
from server.auth.key_file import create_key
from server.config import Settings
from tests.client.commands import Run, command_runner
from tests.client.conftest import RunningServer

PROD = Profile(url="http://127.0.0.1:7", api_key="adk_secret", ca_file="/ca.pem")


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_runner(monkeypatch, capsys)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a server with a key file, and a key."""
    folder = tmp_path_factory.mktemp("keyed")
    _, token = create_key(folder / "keys.jsonl", "acme", "admin")
    settings = Settings(
        data_dir=folder / "data", keys_file=folder / "keys.jsonl",
        http_port=0, grpc_port=0, metrics_port=0, train=False,
    )  # fmt: skip
    running = RunningServer(settings)
    yield f"http://127.0.0.1:{running.ports.http}", token
    running.stop()


def store(**profiles: Profile) -> None:
    """The last one is current."""
    file = ProfileFile.read(profile_path())
    for name, profile in profiles.items():
        file = file.put(name, profile)
    file.write()


# ---------------------------------------------------------------- the file


def test_a_file_is_read_as_it_was_written() -> None:
    store(a=Profile(url="http://ü:1", ca_file='/a "b" \\ c'), prod=PROD)
    file = ProfileFile.read(profile_path())
    assert file.profiles == {"a": Profile(url="http://ü:1", ca_file='/a "b" \\ c'), "prod": PROD}
    assert file.current == "prod"


def test_only_the_owner_may_read_the_file() -> None:
    store(prod=PROD)
    profile_path().chmod(0o644)
    store(other=PROD)
    assert stat.S_IMODE(profile_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(profile_path().parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("current = ", "cannot be read"),
        ("profiles = 3", "not a table"),
        ("[profiles]\nprod = 1", "the profile 'prod' is not a table"),
        ("[profiles.prod]\nURL = 'x'", "a field 'URL' that is not one of api_key"),
        ("[profiles.prod]\nurl = 3", "a field 'url'"),
    ],
)
def test_a_broken_file_is_named(content: str, words: str) -> None:
    profile_path().parent.mkdir(parents=True)
    profile_path().write_text(content)
    with pytest.raises(BadSetting, match=words) as refused:
        ClientSettings.load()
    assert str(profile_path()) in str(refused.value)


def test_a_current_profile_that_is_no_name_is_none() -> None:
    profile_path().parent.mkdir(parents=True)
    profile_path().write_text("current = []\n[profiles.prod]\nurl = 'http://models'")
    assert ProfileFile.read(profile_path()).current is None


def test_a_broken_file_does_not_matter_to_a_call_with_a_url() -> None:
    profile_path().parent.mkdir(parents=True)
    profile_path().write_text("current = ")
    assert ClientSettings.load("http://x:1").url == "http://x:1"


@pytest.mark.parametrize("name", ["a b", "", "a.b", "ü", "x" * 65])
def test_a_name_that_toml_would_need_quotes_for_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match="letters, digits"):
        ProfileFile(path=profile_path()).put(name, PROD)


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    file = ProfileFile(path=profile_path(), profiles={"prod": PROD, "test": PROD})
    with pytest.raises(NotFound, match="did you mean 'prod'"):
        file.get("prd")
    with pytest.raises(NotFound, match="the profiles are prod, test"):
        file.get("elsewhere")


def test_the_key_is_in_no_text_of_a_profile() -> None:
    assert "adk_secret" not in repr(PROD)


# ---------------------------------------------------------------- precedence


def test_the_current_profile_gives_address_key_and_certificates() -> None:
    store(prod=PROD)
    settings = ClientSettings.load()
    assert (settings.url, settings.api_key, settings.profile) == (PROD.url, "adk_secret", "prod")
    assert settings.ca_file == Path("/ca.pem")


def test_a_url_of_an_argument_or_variable_gets_nothing_of_a_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Least of all its key."""
    store(prod=PROD)
    argument = ClientSettings.load("http://other:1")
    monkeypatch.setenv("ADAPTERD_URL", "http://variable:1")
    for settings in (argument, ClientSettings.load()):
        assert settings.url != PROD.url
        assert (settings.api_key, settings.ca_file, settings.profile) == (None, None, None)


def test_a_profile_of_an_argument_comes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADAPTERD_URL", "http://variable:1")
    monkeypatch.setenv("ADAPTERD_API_KEY", "adk_variable")
    store(prod=PROD, other=Profile(url="http://other:1"))
    settings = ClientSettings.load(profile="prod")
    assert (settings.url, settings.api_key) == (PROD.url, "adk_secret")


def test_a_variable_chooses_the_profile_and_another_replaces_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store(prod=PROD, other=Profile(url="http://other:1"))
    monkeypatch.setenv("ADAPTERD_PROFILE", "prod")
    monkeypatch.setenv("ADAPTERD_API_KEY", "adk_variable")
    settings = ClientSettings.load()
    assert (settings.profile, settings.api_key) == ("prod", "adk_variable")


def test_a_url_and_a_profile_are_not_both_taken() -> None:
    store(prod=PROD)
    with pytest.raises(BadSetting, match="both name a server; pass one of them"):
        Client("http://x:1", profile="prod")


def test_a_profile_that_is_not_stored_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTERD_PROFILE", "gone")
    with pytest.raises(BadSetting, match="no profile 'gone'; no profile is stored"):
        ClientSettings.load()


# ---------------------------------------------------------------- the commands


def test_login_reads_the_key_from_a_pipe_and_later_commands_use_it(
    run: Run, keyed: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, token = keyed
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{token}\n"))
    ran = run("login", "acme", "--url", url)
    assert ran.code == 0, ran.err
    assert "stored as the profile acme, which is now current" in " ".join(ran.out.split())
    assert token not in ran.out + ran.err
    assert run("tasks", "--json").json() == []
    listed = run("profiles", "--json")
    assert token not in listed.out
    assert listed.json() == [
        {"name": "acme", "current": True, "url": url, "grpc": None, "has_api_key": True,
         "ca_file": None, "cert_file": None}
    ]  # fmt: skip
    assert run("profiles").out.splitlines()[1].split("\t")[:4] == ["acme", "yes", url, "stored"]


def test_login_asks_a_person_without_echo(
    run: Run, keyed: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, token = keyed
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda text, **_: asked.append(text) or token)
    ran = run("login", "--url", url)
    assert ran.code == 0, ran.err
    assert len(asked) == 1
    assert ProfileFile.read(profile_path()).profiles["default"].api_key == token


def test_login_stores_nothing_if_the_server_refuses_the_key(
    run: Run, keyed: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for given, code in (("adk_wrong\n", ExitCode.DENIED), ("\n", ExitCode.USAGE)):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        assert run("login", "--url", keyed[0]).code == code
    assert ProfileFile.read(profile_path()).profiles == {}


def test_login_asks_for_no_key_where_none_is_needed(run: Run, server: RunningServer) -> None:
    ran = run("login", "--url", f"http://127.0.0.1:{server.ports.http}")
    assert ran.code == 0, ran.err
    assert ProfileFile.read(profile_path()).profiles["default"].api_key is None


def test_login_says_which_variables_come_before_the_profile(
    run: Run, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{server.ports.http}"
    monkeypatch.setenv("ADAPTERD_URL", url)
    assert "comes first: ADAPTERD_URL" in run("login", "--url", url).err


def test_login_to_another_url_keeps_nothing_of_the_profile(run: Run, server: RunningServer) -> None:
    store(default=PROD)
    url = f"http://127.0.0.1:{server.ports.http}"
    assert run("login", "--url", url).code == 0
    assert ProfileFile.read(profile_path()).profiles["default"] == Profile(url=url)


def test_without_a_profile_the_list_says_how_to_make_one(run: Run) -> None:
    assert "`adapterd login --url URL` stores a server" in run("profiles").err


def test_login_to_nobody_does_not_speak_of_a_profile(run: Run) -> None:
    ran = run("login", "--url", PROD.url)
    assert ran.code == ExitCode.UNAVAILABLE
    assert f"No server answers at {PROD.url}. Start one" in ran.err


def test_login_without_a_url_is_wrong_usage(run: Run) -> None:
    ran = run("login")
    assert ran.code == ExitCode.USAGE
    assert "Pass --url" in ran.err


def test_logout_deletes_the_current_profile_with_its_key(run: Run) -> None:
    store(test=Profile(url="http://x:1"), prod=PROD)
    assert run("logout").out.splitlines() == [
        "deleted the profile prod",
        "No profile is current now; `adapterd profiles --use NAME` chooses one.",
    ]
    assert "adk_secret" not in profile_path().read_text()
    assert run("logout").code == ExitCode.USAGE
    assert run("logout", "prod").code == ExitCode.NOT_FOUND


def test_profiles_changes_the_current_one(run: Run) -> None:
    store(test=Profile(url="http://x:1"), prod=PROD)
    assert [each["current"] for each in run("profiles", "--json").json()] == [True, False]
    assert run("profiles", "--use", "test", "--json").json()[1]["current"]
    assert ClientSettings.load().profile == "test"


def test_a_command_takes_a_profile_or_a_url(run: Run, server: RunningServer) -> None:
    url = f"http://127.0.0.1:{server.ports.http}"
    store(here=Profile(url=url), prod=PROD)
    assert run("tasks", "--profile", "here", "--json").json() == []
    assert run("tasks", "--url", url, "--json").json() == []
    assert run("tasks").code == ExitCode.UNAVAILABLE
