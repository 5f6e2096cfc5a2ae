"""`python -m protos.generate`: writes the Python code of the .proto files into `adapterd/v1/`.

protoc's own modules register their messages in protobuf's default pool and ask for its very
version; these use the private pool of `adapterd.v1`. The type stubs are protoc's own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[1]
_NOTE = "Written by `make protos` from protos/{name}; do not edit."
_BYTES_PER_LINE = 64


def generate(target: Path) -> None:
    """Writes the modules of every .proto file, `adapterd/v1/*_pb2*`, under `target`."""
    for file in _compile(target):
        module = target / file.name.removesuffix(".proto")
        module.with_name(f"{module.name}_pb2.py").write_text(_messages(file), encoding="utf-8")
        module.with_name(f"{module.name}_pb2_grpc.py").write_text(_stubs(file), encoding="utf-8")


def _compile(target: Path) -> list[FileDescriptorProto]:
    """Our own files, imported ones before those that import them; their .pyi is written."""
    sources = ROOT / "protos"
    names = sorted(str(path.relative_to(sources)) for path in sources.rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as described:
        out = [f"--pyi_out={target}", f"--descriptor_set_out={described.name}"]
        command = [sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", *out, *names]
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 our own command
        return list(FileDescriptorSet.FromString(described.read()).file)


def _messages(file: FileDescriptorProto) -> str:
    imported = [_module(name) for name in file.dependency if not name.startswith("google/")]
    return "\n".join(
        [
            f'"""The messages of {file.name}. {_NOTE.format(name=file.name)}"""',
            "",
            *(f"import {name}" for name in imported),
            "from adapterd.v1.private_pool import add_file, message_classes",
            "",
            "DESCRIPTOR = add_file(",
            *(f"    {line!r}" for line in _lines(file.SerializeToString(deterministic=True))),
            ")",
            "globals().update(message_classes(DESCRIPTOR))",
            "",
        ]
    )


def _stubs(file: FileDescriptorProto) -> str:
    messages = _module(file.name)
    package, _, name = messages.rpartition(".")
    services = f"{name}.DESCRIPTOR.services_by_name"
    return "\n".join(
        [
            f'"""The services of {file.name}. {_NOTE.format(name=file.name)}"""',
            "",
            f"from {package} import {name}",
            "from adapterd.v1.stub_class import stub_class",
            "",
            *(f'{each.name}Stub = stub_class({services}["{each.name}"])' for each in file.service),
            "",
        ]
    )


def _module(proto: str) -> str:
    return proto.removesuffix(".proto").replace("/", ".") + "_pb2"


def _lines(data: bytes) -> list[bytes]:
    return [data[i : i + _BYTES_PER_LINE] for i in range(0, len(data), _BYTES_PER_LINE)]


if __name__ == "__main__":
    generate(ROOT)
