"""Named profiles: the servers and credentials that `adapterd login` stores in a file.

Owns the file's format and its permissions. Knows no environment and no server.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from adapterd.errors import BadSetting, NotFound

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one source says about a server; None where it says nothing."""

    url: str | None = None
    grpc: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFile:
    """The profiles of a file by name, and the name of the current one. A change makes a new value,
    which `write` stores.
    """

    path: Path
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    current: str | None = None

    @classmethod
    def read(cls, path: Path) -> ProfileFile:
        """The profiles in the file; none if it does not exist. Raises BadSetting."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path=path)
        except (OSError, ValueError) as error:
            raise BadSetting(f"The file of profiles {path} cannot be read: {error}") from error
        stored = content.get("profiles", {})
        if not isinstance(stored, dict):
            raise BadSetting(f"In the file of profiles {path}, `profiles` is not a table.")
        profiles = {name: _read_profile(path, name, values) for name, values in stored.items()}
        current = next((name for name in profiles if name == content.get("current")), None)
        return cls(path=path, profiles=profiles, current=current)

    def get(self, name: str) -> Profile:
        """Raises NotFound, with the names there are."""
        if name in self.profiles:
            return self.profiles[name]
        close = get_close_matches(name, self.profiles, n=1)
        if close:
            raise NotFound(f"There is no profile {name!r}; did you mean {close[0]!r}?")
        names = ", ".join(sorted(self.profiles))
        there = f"the profiles are {names}" if names else "no profile is stored"
        raise NotFound(f"There is no profile {name!r}; {there}. `adapterd login {name}` makes it.")

    def use(self, name: str) -> ProfileFile:
        """With this profile as the current one. Raises NotFound."""
        self.get(name)
        return replace(self, current=name)

    def put(self, name: str, profile: Profile) -> ProfileFile:
        """With this profile, as the current one. Raises BadSetting if the name is not allowed."""
        if not _NAME.fullmatch(name):
            raise BadSetting(
                f"{name!r} cannot name a profile: use letters, digits, `_` and `-`, at most 64."
            )
        return replace(self, profiles={**self.profiles, name: profile}, current=name)

    def remove(self, name: str) -> ProfileFile:
        """Without this profile. Raises NotFound."""
        self.get(name)
        others = {key: each for key, each in self.profiles.items() if key != name}
        return replace(
            self, profiles=others, current=None if self.current == name else self.current
        )

    def write(self) -> None:
        """Replaces the file at once; only its owner may read it, because it holds keys."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mkstemp makes a file of mode 600
            number, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".profiles-")
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(self._to_toml())
            Path(temporary).replace(self.path)
        except OSError as error:
            raise BadSetting(
                f"The file of profiles {self.path} cannot be written: {error.strerror}"
            ) from error

    def _to_toml(self) -> str:
        lines = [f"current = {_quote(self.current)}"] if self.current else []
        for name, profile in sorted(self.profiles.items()):
            lines += ["", f"[profiles.{name}]"]
            values = {each.name: getattr(profile, each.name) for each in fields(profile)}
            lines += [f"{key} = {_quote(value)}" for key, value in values.items() if value]
        return "\n".join(lines).lstrip("\n") + "\n"


def _read_profile(path: Path, name: str, values: Any) -> Profile:
    known = {each.name for each in fields(Profile)}
    if not isinstance(values, dict):
        raise BadSetting(f"In the file of profiles {path}, the profile {name!r} is not a table.")
    for key, value in values.items():
        if key not in known or not isinstance(value, str):
            raise BadSetting(
                f"In the file of profiles {path}, the profile {name!r} has a field {key!r} that "
                f"is not one of {', '.join(sorted(known))} with a text."
            )
    return Profile(**values)


def _quote(value: str) -> str:
    """A basic string of TOML, which is written as in JSON."""
    return json.dumps(value, ensure_ascii=False)
