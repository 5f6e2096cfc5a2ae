"""The client needs none of the platform's packages, and lives beside a program's own packages and
stubs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

PLATFORM = ("server", "trainer", "engine", "adapters_registry", "protos")
#: where a program may have put stubs of its own: protoc's include path, and the module it gave
LAYOUTS = {
    "stubs in a copy of our folder": (".", "protos.adapterd.v1.tasks"),
    "stubs beside the program": ("protos/adapterd/v1", "tasks"),
    "stubs in the folder of their package": ("protos", "adapterd.v1.tasks"),
}
PROGRAM = """
import engine, server, protos, trainer, adapters_registry
import {module}_pb2 as messages, {module}_pb2_grpc as stubs
import grpc, sys
from adapterd import Client

with Client() as client:
    print(client.info()["base"], len(list(client.tasks())))
    with grpc.insecure_channel("127.0.0.1:" + str(client.info()["grpc"]["port"])) as channel:
        answer = stubs.TasksStub(channel).ListTasks(messages.ListTasksRequest(limit=5))
        print(type(answer).__name__, len(answer.tasks))
print(*(name for name in ("engine", "server", "protos") if not sys.modules[name].OURS))
"""


def run(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["Client", "AsyncClient", "Question"])
def test_importing_the_client_loads_nothing_of_the_platform(name: str) -> None:
    program = f"import sys; from adapterd import {name}; print(*sys.modules)"
    loaded = set(run(program, ROOT).split())
    assert f"adapterd.{'values' if name == 'Question' else 'calls'}" in loaded
    assert {module.split(".")[0] for module in loaded} & set(PLATFORM) == set()
    assert loaded & {"torch", "numpy", "pydantic", "fastapi", "msgspec"} == set()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("environment")
def test_a_program_with_packages_and_stubs_of_the_same_names_calls_a_server(
    tmp_path: Path, layout: str
) -> None:
    include, module = LAYOUTS[layout]
    for package in PLATFORM:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("OURS = True\n")
    contract = tmp_path / "protos" / "adapterd" / "v1"
    contract.mkdir(parents=True)
    for proto in (ROOT / "protos" / "adapterd" / "v1").glob("*.proto"):
        (contract / proto.name).write_text(proto.read_text())
    command = ["grpc_tools.protoc", f"-I{include}", "--python_out=.", "--grpc_python_out=."]
    subprocess.run(
        [sys.executable, "-m", *command, "protos/adapterd/v1/tasks.proto"], cwd=tmp_path, check=True
    )
    assert run(PROGRAM.format(module=module), tmp_path).splitlines() == [
        "fake 0", "ListTasksResponse 0", ""
    ]  # fmt: skip
