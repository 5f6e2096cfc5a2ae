"""What the container files promise, as far as it can be read without a container engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from server.config import Settings
from tests.architecture.sources import PACKAGES, project_file

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())
SHARED_NAME = "docker-compose.shared.yml"
SHARED = yaml.safe_load((ROOT / "deploy" / SHARED_NAME).read_text())
#: what is added to the first file
VARIANTS = {
    path.name: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / "deploy").glob("docker-compose.*.yml"))
    if path.name != SHARED_NAME
}
#: what stands alone
WHOLE = {"docker-compose.yml": COMPOSE, SHARED_NAME: SHARED}
FILES = {**WHOLE, **VARIANTS}
EXTRAS = set(project_file()["project"]["optional-dependencies"])


def _final_stage() -> str:
    return DOCKERFILE.split("\nFROM ")[-1]


def test_the_image_is_built_in_stages_and_runs_as_nobody_special() -> None:
    assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2
    assert re.search(r"^USER (?!root)\w+", _final_stage(), re.MULTILINE)
    assert "pip install" not in _final_stage()


def test_the_image_holds_every_package_and_the_demo_rows() -> None:
    copied = re.findall(r"^COPY (\S+) \1$", DOCKERFILE, re.MULTILINE)
    assert set(copied) == {*PACKAGES, "examples/data"}


def test_everything_the_image_copies_exists() -> None:
    sources = re.findall(r"^COPY (?!--from|<<)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in sources for name in line.split()]
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_image_sets_only_settings_that_exist() -> None:
    names = re.findall(r"ADAPTERD_(\w+)=", DOCKERFILE)
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_the_image_takes_another_base_and_other_extras_by_arguments() -> None:
    arguments = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    assert arguments == {"EXTRAS", "PACKAGES", "BASE", "APT_PACKAGES", "PIP_EXTRA_INDEX_URL"}
    documented = set(re.findall(r"^#   (\w+) ", DOCKERFILE, re.MULTILINE))
    assert documented == arguments
    assert re.search(r"^ARG BASE=(\S+)", DOCKERFILE, re.MULTILINE)[1] == (
        Settings.model_fields["base"].default
    )


@pytest.mark.parametrize(
    ("extras", "installed"),
    [("demo", ".[platform,demo]"), ("gguf,gpu", ".[platform,gguf,gpu]"), ("", ".[platform]")],
)
def test_the_extras_are_added_to_the_platform(extras: str, installed: str) -> None:
    (quoted,) = re.findall(r'"(\.\[platform[^"]*)"', DOCKERFILE)
    shown = subprocess.run(
        ["sh", "-c", f'printf %s "{quoted}"'],
        env={"EXTRAS": extras},
        capture_output=True,
        text=True,
    )
    assert shown.stdout == installed


def test_the_script_that_fetches_the_base_finds_the_default_one(tmp_path: Path) -> None:
    (script,) = re.findall(r"^COPY <<EOF \S+\n(.*?)^EOF$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    (tmp_path / "fetch_base.py").write_text(script)

    def fetch(base: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, tmp_path / "fetch_base.py", base],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    found = fetch(Settings.model_fields["base"].default)
    assert (Path(found.stdout.strip()) / "config.json").is_file(), found.stderr
    assert fetch("package:no_such_package/model").returncode != 0


def test_the_container_is_probed_on_the_port_that_has_no_tls() -> None:
    (probe,) = re.findall(r"urlopen\('http://127\.0\.0\.1:(\d+)/health/ready'", DOCKERFILE)
    assert int(probe) == Settings.model_fields["metrics_port"].default


@pytest.mark.parametrize("name", FILES)
def test_compose_passes_arguments_and_settings_that_exist(name: str) -> None:
    arguments = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    for service in FILES[name]["services"].values():
        assert set(service.get("build", {}).get("args", {})) <= arguments
        if service.get("image", "adapterd") != "adapterd":
            continue  # not ours
        keys = [key for key in service.get("environment", {}) if not key.startswith("AWS_")]
        variables = {key.removeprefix("ADAPTERD_") for key in keys}
        assert {each.lower() for each in variables} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_services_that_there_are(name: str) -> None:
    assert set(VARIANTS[name]["services"]) <= set(COMPOSE["services"])
    main = (ROOT / "deploy" / "docker-compose.yml").read_text()
    assert f"#   {name} " in main


@pytest.mark.parametrize("name", FILES)
def test_every_command_in_a_compose_file_names_files_that_exist(name: str) -> None:
    text = (ROOT / "deploy" / name).read_text()
    files = re.findall(r"-f (\S+)", text)
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("name", WHOLE)
def test_every_volume_is_declared_or_lies_beside_its_file(name: str) -> None:
    for service in WHOLE[name]["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            is_given = volume.startswith("${")
            declared = source in WHOLE[name]["volumes"]
            assert is_given or declared or (ROOT / "deploy" / source).is_file()


@pytest.mark.parametrize("name", WHOLE)
def test_every_service_that_one_waits_for_is_in_the_file(name: str) -> None:
    services = WHOLE[name]["services"]
    waited_for = {each for service in services.values() for each in service.get("depends_on", {})}
    assert waited_for
    assert waited_for <= set(services)


def test_servers_that_share_a_state_have_everything_in_common_but_their_own_folder() -> None:
    services = SHARED["services"]
    users = [services[name] for name in ("first", "second", "worker", "migrate", "backup")]
    common = services["first"]["environment"]
    assert all(common.items() <= service["environment"].items() for service in users)
    folders = [service["volumes"][0] for service in users[:3]]
    assert len(set(folders)) == 3
    values = {
        key.removeprefix("ADAPTERD_").lower(): value
        for key, value in common.items()
        if key.startswith("ADAPTERD_")
    }
    chosen = Settings(**{**values, "host": "0.0.0.0"})
    assert chosen.require_keys
    assert chosen.keys_file is None
    assert chosen.database_url is not None
    assert not chosen.train
    bucket = services["bucket"]["command"][-1].partition("/")[2]
    assert (chosen.blobs_url or "").startswith(f"s3://{bucket}/")


def test_each_server_tells_clients_the_grpc_port_that_is_published_for_it() -> None:
    second = SHARED["services"]["second"]
    published = {port.rpartition(":")[2]: port for port in second["ports"]}
    grpc = published[str(Settings.model_fields["grpc_port"].default)].rpartition(":")[0]
    assert second["environment"]["ADAPTERD_GRPC_ADDRESS"] == grpc


def test_a_worker_starts_with_its_profile_alone_on_the_server_s_data() -> None:
    worker, server = COMPOSE["services"]["worker"], COMPOSE["services"]["adapterd"]
    assert worker["profiles"] == ["worker"]
    assert worker["command"] == ["adapterd", "worker"]
    assert (worker["volumes"], worker["image"]) == (server["volumes"], server["image"])
    assert server["environment"]["ADAPTERD_TRAIN"] == "${ADAPTERD_TRAIN:-true}"


def test_the_gpu_variant_reserves_a_device_and_installs_its_kernels() -> None:
    for service in VARIANTS["docker-compose.gpu.yml"]["services"].values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    args = VARIANTS["docker-compose.gpu.yml"]["services"]["adapterd"]["build"]["args"]
    assert args["EXTRAS"] == "${EXTRAS-demo,gpu}"


def test_the_tls_variant_sets_a_certificate_and_its_key() -> None:
    environment = VARIANTS["docker-compose.tls.yml"]["services"]["adapterd"]["environment"]
    values = {key.removeprefix("ADAPTERD_").lower(): value for key, value in environment.items()}
    chosen = Settings(**values)
    assert (chosen.tls_cert_file, chosen.tls_key_file) == (
        Path("/tls/server.pem"),
        Path("/tls/server.key"),
    )


def test_every_extra_that_the_container_files_name_exists() -> None:
    names = ("Dockerfile", SHARED_NAME, *VARIANTS)
    texts = [(ROOT / "deploy" / name).read_text() for name in names]
    named = re.findall(r"EXTRAS[=:-]+ ?(?:\$\{EXTRAS-)?([a-z,]+)", " ".join(texts))
    assert named
    assert {extra for each in named for extra in each.split(",")} <= EXTRAS


def test_the_container_gets_longer_to_stop_than_the_server_takes_to_drain() -> None:
    for service in (COMPOSE["services"]["adapterd"], SHARED["services"]["first"]):
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace > Settings.model_fields["drain_s"].default


def test_prometheus_scrapes_the_metrics_port_by_the_name_of_its_service() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in COMPOSE["services"]
    assert int(port) == Settings.model_fields["metrics_port"].default


@pytest.mark.survival("H9")
@pytest.mark.parametrize("name", WHOLE)
def test_compose_publishes_on_loopback_only(name: str) -> None:
    services = WHOLE[name]["services"].values()
    ports = [port for service in services for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
