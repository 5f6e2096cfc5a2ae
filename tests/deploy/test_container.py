"""What the container files promise, as far as it can be read without a container engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from server.config import Settings
from tests.architecture.sources import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())


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
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in sources for name in line.split()]
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_image_sets_only_settings_that_exist() -> None:
    names = re.findall(r"ADAPTERD_(\w+)=", DOCKERFILE)
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_the_container_gets_longer_to_stop_than_the_server_takes_to_drain() -> None:
    grace = int(COMPOSE["services"]["adapterd"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings.model_fields["drain_s"].default


def test_prometheus_scrapes_the_metrics_port_by_the_name_of_its_service() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in COMPOSE["services"]
    assert int(port) == Settings.model_fields["metrics_port"].default


@pytest.mark.survival("H9")
def test_compose_publishes_on_loopback_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service["ports"]]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
