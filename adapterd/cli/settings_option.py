"""Parses `--set NAME=VALUE` and similar options."""

from __future__ import annotations

import json
from typing import Any

from adapterd.errors import BadSetting


def parse_settings(pairs: list[str], option: str = "--set") -> dict[str, Any]:
    """Reads `rank=16`, `targets=query,value` or `targets=["query"]` as JSON values."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadSetting(f"{option} {pair}: pass NAME=VALUE")
        settings[name] = _parse_value(value)
    return settings


def parse_training_settings(pairs: list[str], preset: str) -> dict[str, Any]:
    """With the preset of `--preset`, which `--set` must not name too."""
    settings = parse_settings(pairs)
    if preset and "preset" in settings:
        raise BadSetting(f"--preset {preset} and --set preset=… are both given; pass one of them")
    return {"preset": preset, **settings} if preset else settings


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [_parse_value(part) for part in text.split(",")] if "," in text else text
