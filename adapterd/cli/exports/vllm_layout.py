"""LoRA adapters as a directory that vLLM serves: a folder of PEFT's files for each.

The folders are what `--lora-modules` names, and what vLLM's resolver of a file system finds under
`VLLM_LORA_RESOLVER_CACHE_DIR`, which compares the name of the base in each configuration.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from adapterd.cli.exports.fetched_version import CONFIG, MANIFEST, FetchedVersion, writing
from adapterd.cli.exports.lora_ranks import read_ranks
from adapterd.errors import Refused

MODULES, ARGUMENTS = "lora-modules.json", "vllm-args.txt"
_WEIGHTS = "adapter_model.safetensors"
#: the ranks that `--max-lora-rank` takes
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
#: of PEFT, where the configuration has none
_ALPHA = 8
_PATTERNS = ("rank_pattern", "alpha_pattern")
#: settings of PEFT's that vLLM does not serve
_UNSERVED = ("use_dora", "lora_bias", "modules_to_save")


def check_servable(fetched: FetchedVersion) -> None:
    """Raises Refused for what vLLM would not serve, or would serve as something else."""
    version, config = fetched.version, fetched.document(CONFIG)
    if version.head != "generate" or version.kind != "lora":
        raise Refused(
            f"{fetched.name} is a {version.kind} adapter with the head {version.head}; vLLM "
            "serves lora adapters that generate text, and would leave out another head"
        )
    named = [name for name in _UNSERVED if config.get(name)]
    if (config.get("bias") or "none") != "none":
        named.append("bias")
    if named:
        raise Refused(f"{fetched.name} has {', '.join(named)}, which vLLM does not serve")
    if _rank(config) > _RANKS[-1]:
        raise Refused(f"{fetched.name} has rank {_rank(config)}; vLLM serves {_RANKS[-1]} at most")
    if any(config.get(name) for name in _PATTERNS):
        _check_scalings(fetched, config)


def _check_scalings(fetched: FetchedVersion, config: dict[str, Any]) -> None:
    """vLLM reads no pattern: it scales every module by the one alpha and the one rank."""
    ranks = read_ranks(_weights_of(fetched))
    if not ranks:
        raise Refused(f"{fetched.name} sets ranks or alphas of modules, and has no LoRA weights")
    common = _scaling(config, _alpha(config, ""), config["r"])
    for module, rank in ranks.items():
        scaling = _scaling(config, _alpha(config, module), rank)
        if not math.isclose(scaling, common, rel_tol=1e-6):
            raise Refused(
                f"{fetched.name} scales {module} by {scaling:g} (rank_pattern, alpha_pattern), and "
                f"vLLM scales all modules by {common:g}; export it with --as merged"
            )


def _scaling(config: dict[str, Any], alpha: float, rank: int) -> float:
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _alpha(config: dict[str, Any], module: str) -> float:
    """As PEFT has it: the first key that names the module or the end of its name."""
    named = config.get("alpha_pattern") or {}
    ends = (key for key in named if f".{module}".endswith(f".{key}"))
    return float(named.get(next(ends, ""), config.get("lora_alpha", _ALPHA)))


def _weights_of(fetched: FetchedVersion) -> Path:
    return next(path for path in fetched.paths if path.name == _WEIGHTS)


def add_adapter(fetched: FetchedVersion, directory: Path, base: str) -> Path:
    """The version's folder, named for the ref by which callers ask for it."""
    folder = directory / fetched.ref
    config = {**fetched.document(CONFIG), "base_model_name_or_path": base}
    with writing(directory):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_weights_of(fetched), folder / _WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return folder


def write_arguments(
    folders: Sequence[Path], directory: Path, base: str, mounted_at: PurePosixPath | None = None
) -> list[Path]:
    """What vLLM is told of all folders: as JSON, and as arguments, one a line.

    vLLM takes a path that is not there for a name on the hub, so the paths are absolute: under
    `mounted_at`, where vLLM sees the directory, or else as they are on this machine.
    """
    root = mounted_at or directory.resolve()
    configs = [json.loads((folder / CONFIG).read_bytes()) for folder in folders]
    modules = [
        {"name": folder.name, "path": str(root / folder.name), "base_model_name": base}
        for folder in folders
    ]
    rank = max(map(_rank, configs))
    arguments = [
        "--enable-lora", "--max-lora-rank", str(min(each for each in _RANKS if each >= rank)),
        "--max-loras", str(len(folders)),
        "--lora-modules", *(f"{module['name']}={module['path']}" for module in modules),
    ]  # fmt: skip
    with writing(directory):
        (directory / MODULES).write_text(json.dumps(modules, indent=2) + "\n")
        (directory / ARGUMENTS).write_text("\n".join(arguments) + "\n")
    return [directory / MODULES, directory / ARGUMENTS]


def notes_of(fetched: FetchedVersion) -> list[str]:
    """What callers of vLLM must do themselves."""
    head = fetched.document(MANIFEST).get("semantics", {}).get("head", {})
    if not head.get("prompt"):
        return []
    return [f"{fetched.name} puts a prompt before every input; callers of vLLM send it themselves"]


def _rank(config: dict[str, Any]) -> int:
    return int(max([config["r"], *(config.get("rank_pattern") or {}).values()]))
