"""Settings: where they come from, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import BadSettings
from server.factories import engine_config
from server.settings_sources import load_settings


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings({}).num_slots == 1024
    (tmp_path / "adapterd.toml").write_text("num_slots = 5\nhttp_port = 5000\n")
    assert load_settings({}).num_slots == 5
    monkeypatch.setenv("ADAPTERD_NUM_SLOTS", "6")
    assert load_settings({}).num_slots == 6
    chosen = load_settings({"num_slots": 7})
    assert (chosen.num_slots, chosen.http_port) == (7, 5000)


def test_a_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('dtype = "float32"\n')
    assert load_settings({}, tmp_path / "other.toml").dtype == "float32"
    with pytest.raises(BadSettings, match="does not exist"):
        load_settings({}, tmp_path / "missing.toml")


@pytest.mark.survival("H9")
def test_an_unknown_setting_is_an_error_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadSettings, match="no setting 'prot'"):
        load_settings({"prot": 1})
    (tmp_path / "adapterd.toml").write_text("prot = 1\n")
    with pytest.raises(BadSettings, match="no setting 'prot'"):
        load_settings({})
    (tmp_path / "adapterd.toml").unlink()
    monkeypatch.setenv("ADAPTERD_HTTP_PROT", "1")
    with pytest.raises(BadSettings, match="ADAPTERD_HTTP_PROT"):
        load_settings({})


def test_what_clients_read_from_the_environment_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("URL", "GRPC", "API_KEY"):
        monkeypatch.setenv(f"ADAPTERD_{name}", "x")
    load_settings({})


def test_what_kubernetes_says_of_a_service_of_our_name_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT"):
        monkeypatch.setenv(f"ADAPTERD_{name}", "tcp://10.0.0.1:8000")
    load_settings({})
    monkeypatch.setenv("ADAPTERD_PORTS", "1")
    with pytest.raises(BadSettings, match="ADAPTERD_PORTS"):
        load_settings({})


@pytest.mark.survival("H9")
@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"http_port": 70000}, "http_port is 70000"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"num_slots": 0}, "num_slots is 0"),
        ({"drain_s": "soon"}, "drain_s is 'soon'"),
    ],
)
def test_a_bad_value_is_named_with_its_setting(flags: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadSettings, match=sentence):
        load_settings(flags)


def test_a_broken_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "adapterd.toml").write_text("num_slots = \n")
    with pytest.raises(BadSettings, match="is not TOML"):
        load_settings({})


@pytest.mark.survival("H9")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_an_address_others_can_reach_needs_keys(host: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="keys_file"):
        load_settings({"host": host})
    assert load_settings({"host": host, "keys_file": tmp_path / "keys.jsonl"}).host == host
    assert load_settings({"host": host, "require_keys": True}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback_needs_none(host: str) -> None:
    assert load_settings({"host": host}).host == host


@pytest.mark.parametrize("name", ["threads", "ahead_tokens", "keys_file"])
def test_none_is_written_as_a_word_in_flags_the_environment_and_the_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "other.toml"
    file.write_text(f'{name} = "none"\n')
    assert getattr(load_settings({}, file), name) is None
    assert getattr(load_settings({name: "none"}), name) is None
    assert getattr(load_settings({name: Path("none")}), name) is None
    monkeypatch.setenv(f"ADAPTERD_{name.upper()}", "none")
    assert getattr(load_settings({}), name) is None


def test_the_engine_gets_a_slot_more_for_the_trainer() -> None:
    assert engine_config(load_settings({"num_slots": 8})).num_slots == 9


def test_activations_go_to_the_data_directory_only_where_the_disk_has_a_budget() -> None:
    chosen = engine_config(load_settings({"data_dir": Path("here"), "activation_disk_bytes": 5}))
    assert (chosen.activation_disk_bytes, chosen.activation_folder) == (5, "here/activations")
    assert engine_config(load_settings({})).activation_disk_bytes == 0


@pytest.mark.parametrize(
    "written", ["acme=2,globex=0.5", ["acme=2", " globex = 0.5"], {"acme": 2, "globex": 0.5}]
)
def test_weights_of_tenants_are_read_in_every_form(written: object) -> None:
    weights = load_settings({"tenant_weights": written}).tenant_weights
    assert weights == {"acme": 2.0, "globex": 0.5}


def test_weights_of_tenants_are_read_from_the_environment_and_from_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "adapterd.toml").write_text("[tenant_weights]\nacme = 3\n")
    assert load_settings({}).tenant_weights == {"acme": 3.0}
    monkeypatch.setenv("ADAPTERD_TENANT_WEIGHTS", "acme=4")
    assert load_settings({}).tenant_weights == {"acme": 4.0}


@pytest.mark.parametrize("written", ["acme", "acme=0", "acme=much", "=2", "acme=1, acme=2", ""])
def test_weights_that_are_none_stop_the_start(written: str) -> None:
    with pytest.raises(BadSettings, match="tenant_weights"):
        load_settings({"tenant_weights": written})
