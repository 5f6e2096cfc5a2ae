"""The checkpoint of a training slot: a directory with the state of `Masters` and its settings.

Complete or absent, hashed, and read only by a training with the same settings on the same base.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError

from engine.atomic_files import atomic_directory
from engine.errors import BadCheckpoint, CheckpointFailed
from engine.failures import is_device_lost, is_out_of_memory
from engine.model.base import Base
from engine.port import Checkpointed, OpenTraining
from engine.training.masters import Masters
from engine.training.masters_state import MastersState

SLOT = "slot.json"
#: where something is kept, not what is computed
_ELSEWHERE = ("resume", "cache", "cache_bytes")


def prepare_checkpoint(
    masters: Masters, spec: OpenTraining, base: Base, directory: Path
) -> Callable[[], Checkpointed]:
    """What writes the masters as they are now, in any thread."""
    slot = _identity(spec, base) | {
        "num_steps": masters.num_steps,
        "unreached": sorted(masters.unreached),
        "tensors": list(masters.tensors),
    }
    return partial(_write, masters.copy_state(), slot, directory)


def _write(state: MastersState, slot: dict[str, Any], directory: Path) -> Checkpointed:
    """Raises CheckpointFailed, and then leaves no file."""
    try:
        with atomic_directory(directory) as part:
            state.write(part)
            content = slot | {"sha256": _hashes(part)}
            (part / SLOT).write_text(json.dumps(content, indent=2) + "\n")
            num_bytes = sum(file.stat().st_size for file in part.iterdir())
    except (OSError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointFailed(f"the checkpoint could not be written: {error}") from error
    return Checkpointed(num_steps=slot["num_steps"], num_bytes=num_bytes)


def read_checkpoint(masters: Masters, spec: OpenTraining, base: Base, directory: Path) -> None:
    """Raises BadCheckpoint; the masters must not be used then."""
    try:
        slot = json.loads((directory / SLOT).read_bytes())
        _check(slot, masters, spec, base)
        if slot["sha256"] != _hashes(directory):
            raise BadCheckpoint("the checkpoint's files are not those that were written")
        masters.read(directory)
        masters.num_steps = int(slot["num_steps"])
        masters.unreached = set(slot["unreached"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if is_device_lost(error) or is_out_of_memory(error):
            raise
        raise BadCheckpoint(f"the checkpoint cannot be read: {error}") from error


def _identity(spec: OpenTraining, base: Base) -> dict[str, Any]:
    training = {name: msgspec.to_builtins(getattr(spec, name)) for name in spec.__struct_fields__}
    computed = {name: value for name, value in training.items() if name not in _ELSEWHERE}
    return {"base": base.fingerprint, "dtype": base.numerics.name, **computed}


def _check(slot: dict[str, Any], masters: Masters, spec: OpenTraining, base: Base) -> None:
    expected = _identity(spec, base) | {"tensors": list(masters.tensors)}
    for name, value in expected.items():
        if slot[name] != value:
            raise BadCheckpoint(
                f"of the checkpoint, {name} is {_short(slot[name])}; of the training that is to go "
                f"on with it, {_short(value)}"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _hashes(directory: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(directory.iterdir())
        if file.name != SLOT
    }
