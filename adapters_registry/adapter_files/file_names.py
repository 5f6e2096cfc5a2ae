"""Which files of an adapter's directory are read, and what is left out. Knows names, no contents.

Training tools leave much beside an adapter: states of optimizers, logs, plots, tokenizers, code.
None of it is stored or opened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from adapters_registry.errors import BadFileName, ForbiddenFile

CONFIG = "adapter_config.json"
ADAPTER = "adapter_model.safetensors"
HEAD = "head.safetensors"
MANIFEST = "manifest.json"
#: as AdapterHub's library names them
HUB_ADAPTER, HUB_HEAD, HUB_HEAD_CONFIG = (
    "adapter.safetensors", "model_head.safetensors", "head_config.json",
)  # fmt: skip
#: what sentence-transformers says of its embeddings; the pooling has a folder of its own there
MODULES, POOLING, PROMPTS = (
    "modules.json", "pooling_config.json", "config_sentence_transformers.json",
)  # fmt: skip
STORED_NAMES = frozenset({
    CONFIG, ADAPTER, HEAD, MANIFEST, HUB_ADAPTER, HUB_HEAD, HUB_HEAD_CONFIG, MODULES, POOLING,
    PROMPTS,
})  # fmt: skip
#: the names that the file of weights and that of the head may have
ADAPTER_NAMES, HEAD_NAMES = (ADAPTER, HUB_ADAPTER), (HEAD, HUB_HEAD)

_POOLING = re.compile(r"\d{1,2}_Pooling/config\.json", re.ASCII)
_DRIVE = re.compile(r"[A-Za-z]:")
#: weights in another format than safetensors; states of optimizers are none
_PICKLED = re.compile(
    r".*(?:adapter|model|lora|weights|head).*\.(?:bin|pt|pth|ckpt|pkl|pickle|npz|h5|msgpack)"
)
_WHOLE_MODEL = re.compile(r"(?:model|pytorch_model).*\.(?:safetensors|bin)|.*\.gguf")
_SHARD = re.compile(r"adapter_model-\d+-of-\d+\.safetensors|.*\.safetensors\.index\.json")
_MOST_CHARACTERS = 1024


def stored_name(name: str) -> str | None:
    """What a file that is sent under this name is stored as; None if it is left out.

    Raises BadFileName for what is no relative path.
    """
    name = name.removeprefix("./")
    parts = name.split("/")
    if (
        len(name) > _MOST_CHARACTERS or not name.isprintable() or "\\" in name
        or _DRIVE.match(name) or {"", ".", ".."} & set(parts)
    ):  # fmt: skip
        raise BadFileName(
            f"file name {name[:80]!r} must be a name, or a path inside the adapter's directory",
            name=name[:80],
        )
    if _POOLING.fullmatch(name):
        return POOLING
    return name if name in STORED_NAMES else None


def check_stored(name: str) -> str:
    """The name itself if a stored file may have it; else ForbiddenFile."""
    if name not in STORED_NAMES:
        raise ForbiddenFile(
            f"{name[:80]} is not a file of an adapter; these are: "
            f"{', '.join(sorted(STORED_NAMES))}",
            name=name[:80],
        )
    return name


def listed_name(name: str) -> str:
    """As what is left out is listed: a folder once, whatever is in it."""
    folder, slash, _ = name.partition("/")
    return f"{folder}/" if slash else name


def pickled_weights(left_out: Collection[str]) -> str | None:
    """The file of pickled weights among those left out, if there is one."""
    return next((name for name in sorted(left_out) if _PICKLED.fullmatch(name)), None)


def missing_hint(name: str, left_out: Sequence[str]) -> str:
    """Where the file that is not there may be, told from what was left out."""
    inside = [each for each in left_out if each.endswith(f"/{name}")]
    if inside:
        return f"; {', '.join(inside[:3])} is: register that folder"
    if name == CONFIG and any(_WHOLE_MODEL.fullmatch(each) for each in left_out):
        return "; the folder holds a whole model, and what is registered is an adapter of the base"
    if name == ADAPTER and any(_SHARD.fullmatch(each) for each in left_out):
        return "; it is saved in shards: save the adapter again as one file"
    return ""
