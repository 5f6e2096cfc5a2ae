"""Compares the base that an adapter's files name with the base that is served.

Knows names only; `engine.model.source` finds the files of a base. docs/kinds.md states the rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: last parts of a path that people give to any base
_ANY_BASE = re.compile(
    r"(?:hf-|my-|new-|full-)?(?:models?|base|base-models?|checkpoint|ckpt|snapshots?|outputs?|results?|final|"
    r"best|last|latest|merged|main|weights|pretrained|tmp|temp)?(?:-?\d+)?"
)
_HUB_ID = re.compile(r"(?:(?P<owner>[\w-][\w.-]*)/)?[\w-][\w.-]*")
_HUB_CACHE = re.compile(r"models--(?:(?P<owner>[^/]+?)--)?(?P<name>[^/]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: the same weights in another precision
_PRECISION = re.compile(
    r"(?:-unsloth)?(?:-bnb-(?:4|8)bit|-gguf|-awq|-gptq|-fp8|-fp16|-bf16|-int[48]|-i?q\d\w*(?:-[a-z\d]{1,2})*|-f(?:16|32))$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBase:
    """The names of the served base: the value of `--base`, the path of its files, and for a local
    folder the origin that its config names.
    """

    name: str
    path: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseDoubt:
    """Why the named base may not be the served one. `is_other`: the names contradict each other;
    otherwise they do not settle it.
    """

    is_other: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class _BaseName:
    """A parsed name: the owner of a hub id, if any, and the names that the base may have."""

    owner: str = ""
    names: frozenset[str] = field(default_factory=frozenset)


def base_doubt(claimed: str, served: ServedBase) -> BaseDoubt | None:
    """None where `claimed` is empty or names the served base."""
    claimed = claimed.strip()
    known = [text for text in (served.name, served.path, _folder(served.path)) if text]
    if not claimed or claimed.rstrip("/") in (text.rstrip("/") for text in known):
        return None
    theirs, ours = _parse_name(claimed), [_parse_name(text) for text in known]
    served_names = frozenset().union(*(each.names for each in ours))
    if theirs.names & served_names:
        owners = {each.owner for each in ours} - {""}
        if not theirs.owner or not owners or theirs.owner in owners:
            return None
        return _doubt(claimed, served, "their owners differ")
    if not theirs.names or not served_names:
        return _doubt(claimed, served, "a folder's name does not tell one base from another")
    if theirs.names & _parse_name(served.origin).names:
        return _doubt(claimed, served, f"which came from {served.origin!r}")
    return BaseDoubt(
        is_other=True,
        sentence=(
            f"the adapter was made for the base {claimed!r}; this server runs {served.name!r}. "
            "Where both are the same weights, say so with --other-base (other_base)"
        ),
    )


def _folder(path: str) -> str:
    """The folder of a GGUF file, by which transformers and PEFT name it; empty for other paths."""
    return path.rpartition("/")[0] if path.lower().endswith(".gguf") else ""


def _doubt(claimed: str, served: ServedBase, why: str) -> BaseDoubt:
    return BaseDoubt(
        is_other=False,
        sentence=(
            f"adapter_config.json names the base {claimed!r}, this server runs {served.name!r} "
            f"({why}): make sure that they are the same weights"
        ),
    )


def _parse_name(text: str) -> _BaseName:
    """Parses a hub id, a path of either kind, or `package:NAME/PATH`; a revision is ignored."""
    packaged = text.startswith("package:")
    parts = [p for p in text.removeprefix("package:").replace("\\", "/").split("/") if p]
    if not parts:
        return _BaseName()
    parts[-1] = parts[-1].partition("@")[0]
    for part in reversed(parts):
        if cached := _HUB_CACHE.fullmatch(part):
            return _BaseName(
                _slugify(cached["owner"] or ""), frozenset({_normalize(cached["name"])})
            )
    names = {_normalize(parts[-1])}
    if "site-packages" in parts[:-1]:
        packaged, parts = True, parts[parts.index("site-packages") + 1 :]
    if packaged:
        # a package's first word is often its publisher
        names |= {_slugify(parts[0]), _slugify(parts[0]).partition("-")[2]}
    hub = None if packaged else _HUB_ID.fullmatch(text.partition("@")[0])
    return _BaseName(
        _slugify(hub["owner"] or "") if hub else "",
        frozenset(name for name in names if not _ANY_BASE.fullmatch(name)),
    )


def _normalize(part: str) -> str:
    """The last part of a path without its precision; empty for a commit."""
    if _COMMIT.fullmatch(part):
        return ""
    return _PRECISION.sub("", _slugify(part.lower().removesuffix(".gguf")))


def _slugify(part: str) -> str:
    return re.sub(r"[-_. ]+", "-", part.lower()).strip("-")
