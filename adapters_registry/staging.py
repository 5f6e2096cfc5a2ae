"""A staging directory: where foreign bytes land before anyone believes them.

Knows which names may land, not contents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from adapters_registry.disk import Disk
from adapters_registry.errors import BadFileName, ForbiddenFile, TooManyBytes
from adapters_registry.limits import Limits
from adapters_registry.scratch import Scratch

CONFIG = "adapter_config.json"
ADAPTER = "adapter_model.safetensors"
HEAD = "head.safetensors"
MANIFEST = "manifest.json"
STORED_NAMES = frozenset({CONFIG, ADAPTER, HEAD, MANIFEST})

#: as AdapterHub's library names the same files -> as they are stored
OTHER_NAMES = {"adapter.safetensors": ADAPTER, "model_head.safetensors": HEAD}

# Documents that training tools leave beside the weights. The base brings its own tokenizer and
# templates, and a template is a program: none of these is stored or read.
DOCUMENT_NAMES = frozenset({
    "README.md",
    ".gitattributes",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    "trainer_state.json",
    "training_args.json",
    "config.json",
    "head_config.json",
})  # fmt: skip

_PICKLES = (
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".joblib",
    ".npy",
    ".npz",
    ".msgpack",
    ".h5",
)
_CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".sh", ".ipynb")
_PLAIN = re.compile(r"[A-Za-z0-9.][A-Za-z0-9._-]{0,127}", re.ASCII)


def check_file_name(name: str) -> str:
    """The name itself if a file of an adapter may have it; else BadFileName or ForbiddenFile."""
    if _PLAIN.fullmatch(name) is None or ".." in name:
        raise BadFileName(
            f"file name {name[:80]!r} must be one plain name without any path", name=name[:80]
        )
    if name in STORED_NAMES or name in DOCUMENT_NAMES:
        return name
    raise ForbiddenFile(f"{name} {_why_not(name.lower())}", name=name)


def _why_not(name: str) -> str:
    if name.endswith(_PICKLES):
        return (
            f"is refused: weights are read from {ADAPTER} only, never from pickles or other formats"
        )
    if name.endswith(_CODE):
        return "is refused: an adapter brings no code"
    return f"is not a file of an adapter; these are: {', '.join(sorted(STORED_NAMES))}"


class Staging:
    """A private directory that removes itself when its block ends; versions have their copies."""

    def __init__(self, root: Path, limits: Limits, disk: Disk) -> None:
        self._limits = limits
        self._disk = disk
        self._scratch = Scratch(root, disk)
        self._num_bytes = 0
        self._names: set[str] = set()
        self.kept_out: list[str] = []
        """Documents that were sent and, on purpose, not stored."""

    @property
    def path(self) -> Path:
        return self._scratch.path

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write one file as it arrives.

        It is refused as soon as it passes a cap, not after it filled the disk.
        """
        name = check_file_name(OTHER_NAMES.get(name, name))
        if name in self._names:
            raise BadFileName(f"{name} was sent twice", name=name)
        if len(self._names) >= self._limits.max_files:
            raise TooManyBytes(f"an adapter has at most {self._limits.max_files} files")
        self._names.add(name)
        counted = self._counted(name, chunks)
        if name in DOCUMENT_NAMES:
            self.kept_out.append(name)
            for _ in counted:  # drained, so that a stream of several files goes on behind it
                pass
            return
        self._disk.write(self.path / name, counted)

    def _counted(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        num_bytes = 0
        for chunk in chunks:
            num_bytes += len(chunk)
            self._num_bytes += len(chunk)
            if num_bytes > self._limits.max_file_bytes:
                raise TooManyBytes(
                    f"{name} is larger than {self._limits.max_file_bytes} bytes", name=name
                )
            if self._num_bytes > self._limits.max_total_bytes:
                raise TooManyBytes(
                    f"the adapter is larger than {self._limits.max_total_bytes} bytes"
                )
            yield chunk

    def remove(self) -> None:
        self._scratch.remove()

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()
