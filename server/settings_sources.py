"""Where settings come from: flags, the environment and a file. No other module of the package reads
the environment.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server.config import ENV_PREFIX, Settings
from server.errors import BadSettings

#: variables of the client in the same environment, which are no misspelt server settings
CLIENT_FIELDS = "URL GRPC PROFILE API_KEY CA_FILE CLIENT_CERT_FILE CLIENT_KEY_FILE"
CLIENT_VARIABLES = frozenset(ENV_PREFIX + name for name in CLIENT_FIELDS.split())
#: what Kubernetes sets in every container beside a service named adapterd
SERVICE_LINK = re.compile(r"ADAPTERD_(PORT|PORT_.*|SERVICE_.*)")
DEFAULT_FILE = Path("adapterd.toml")


def quiet_grpc() -> None:
    """Call it before grpc is imported: it would write a line to stderr for every failed TLS
    handshake, and peers without a key could fill the log.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def load_settings(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """The settings from flags, environment, file and defaults.

    `flags` holds only the flags that were passed. Raises BadSettings with one sentence per fault.
    """
    if file is not None and not file.is_file():
        raise BadSettings(f"the settings file {file} does not exist")
    _check_environment()
    # the sources read the file from the class, and the file is an argument: hence a subclass
    chosen = type("Settings", (Settings,), {"model_config": {"toml_file": file or DEFAULT_FILE}})
    try:
        settings: Settings = chosen(**flags)
    except ValidationError as error:
        raise BadSettings("; ".join(_sentence(dict(fault)) for fault in error.errors())) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{file or DEFAULT_FILE} is not TOML: {error}") from error
    return settings


def child_environment() -> dict[str, str]:
    """The environment of a process beside this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _check_environment() -> None:
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    unknown = sorted(
        name
        for name in os.environ
        if name.upper().startswith(ENV_PREFIX)
        and name.upper() not in known
        and not SERVICE_LINK.fullmatch(name)
    )
    if unknown:
        raise BadSettings(f"the environment sets {', '.join(unknown)}, which no setting reads")


def _sentence(fault: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        close = get_close_matches(name, Settings.model_fields, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        return f"there is no setting {name!r}{guess or '; `adapterd settings serve` lists them'}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    shown = "set" if name == "database_url" else repr(fault["input"])  # it may hold a password
    return f"{name} is {shown}: {message}" if name else message
