"""One table for the errors of all packages: the HTTP and gRPC status of each. Knows no transport's
response format.
"""

from __future__ import annotations

from dataclasses import dataclass

from grpc import StatusCode

from adapters_registry import errors as registry
from engine import errors as engine
from server import errors as server
from trainer import errors as trainer
from trainer.pipeline import job_checks
from trainer.storage_errors import has_run_out, storage_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """How an error looks to callers. `public` says whether its own message may leave the server."""

    http: int
    grpc: StatusCode
    title: str
    retryable: bool = False
    public: bool = True


INVALID = Outside(http=400, grpc=StatusCode.INVALID_ARGUMENT, title="Invalid request")
UNAUTHENTICATED = Outside(http=401, grpc=StatusCode.UNAUTHENTICATED, title="Unauthenticated")
FORBIDDEN = Outside(http=403, grpc=StatusCode.PERMISSION_DENIED, title="Forbidden")
NOT_FOUND = Outside(http=404, grpc=StatusCode.NOT_FOUND, title="Not found")
CONFLICT = Outside(http=409, grpc=StatusCode.FAILED_PRECONDITION, title="Conflict")
MOVED = Outside(http=409, grpc=StatusCode.ABORTED, title="Conflict")
SLOW = Outside(http=408, grpc=StatusCode.DEADLINE_EXCEEDED, title="Too slow")
MEDIA = Outside(http=415, grpc=StatusCode.INVALID_ARGUMENT, title="Unsupported media type")
HUNG_UP = Outside(http=499, grpc=StatusCode.CANCELLED, title="Hung up")
NO_METHOD = Outside(http=404, grpc=StatusCode.UNIMPLEMENTED, title="Not found")
TOO_LARGE = Outside(http=413, grpc=StatusCode.INVALID_ARGUMENT, title="Too large")
UNUSABLE = Outside(http=422, grpc=StatusCode.INVALID_ARGUMENT, title="Cannot be used")
NOT_SERVABLE = Outside(http=422, grpc=StatusCode.FAILED_PRECONDITION, title="Cannot be served")
OVERLOADED = Outside(
    http=429, grpc=StatusCode.RESOURCE_EXHAUSTED, title="Overloaded", retryable=True
)
INTERNAL = Outside(http=500, grpc=StatusCode.INTERNAL, title="Internal error", public=False)
UNAVAILABLE = Outside(http=503, grpc=StatusCode.UNAVAILABLE, title="Unavailable", retryable=True)
CROWDED = Outside(http=503, grpc=StatusCode.RESOURCE_EXHAUSTED, title="Unavailable", retryable=True)
LATE = Outside(http=504, grpc=StatusCode.DEADLINE_EXCEEDED, title="Deadline exceeded")
FULL = Outside(http=507, grpc=StatusCode.RESOURCE_EXHAUSTED, title="Out of room", public=False)

_ROWS: tuple[tuple[Outside, tuple[type[Exception], ...]], ...] = (
    # ------------------------------------------------------------ server
    (INVALID, (server.BadCall, server.BadParameter, server.TooManyInputs)),
    (CONFLICT, (server.WorseThanProduction,)),
    (INVALID, (server.BadInput, server.NotText, server.NotMessages)),
    (
        INVALID,
        (server.EmptyInput, server.InputTooLong, server.ForbiddenCharacter, server.WrongInput),
    ),
    (UNAUTHENTICATED, (server.Unauthenticated,)),
    (FORBIDDEN, (server.Forbidden, server.ForeignHost, server.LinkRefused)),
    (TOO_LARGE, (server.BodyTooLarge,)),
    (SLOW, (server.TooSlow,)),
    (MEDIA, (server.UnsupportedMedia,)),
    (HUNG_UP, (server.HungUp, job_checks.CheckCancelled)),
    (NO_METHOD, (server.UnknownMethod,)),
    (OVERLOADED, (server.Overloaded, server.TooManyCalls)),
    (CROWDED, (server.TooManyConnections,)),
    (UNAVAILABLE, (server.Draining, server.Stale, server.KeysStale)),
    (LATE, (server.DeadlinePassed,)),
    (NOT_SERVABLE, (server.AdapterTooLarge,)),
    (
        INTERNAL,
        (
            server.ServerError,
            server.StartFailed,
            server.BadSettings,
            server.BadCertificate,
            server.PortInUse,
        ),
    ),
    (INTERNAL, (server.BadKey, server.BadKeyFile, server.BadDataDirectory)),
    # ------------------------------------------------------------ engine
    (UNAVAILABLE, (engine.EngineGone, engine.FilesUnreadable)),
    (
        UNUSABLE,
        (
            engine.BadAdapter,
            engine.WrongContent,
            engine.NoMatchingSite,
            engine.WrongShape,
            engine.NonFiniteWeights,
            engine.CannotCompose,
            engine.NotExportable,
            engine.MissingTensors,
            engine.PatternRefused,
        ),
    ),
    (
        UNUSABLE,
        (
            engine.WrongBase,
            engine.BadRow,
            engine.NonFiniteResult,
            engine.BadTraining,
            engine.Diverged,
            engine.BadCheckpoint,
        ),
    ),
    (FULL, (engine.CheckpointFailed, engine.SaveFailed)),
    (INVALID, (engine.BadAnswering, engine.BadMessage)),
    (OVERLOADED, (engine.OutOfMemory,)),
    (INTERNAL, (engine.EngineError, engine.NotLoaded, engine.BadBase, engine.NoDevice)),
    # ------------------------------------------------------------ registry
    (INVALID, (registry.BadName,)),
    (
        NOT_FOUND,
        (registry.NotFound, registry.UnknownTask, registry.UnknownVersion, registry.UnknownAlias),
    ),
    (
        CONFLICT,
        (
            registry.Conflict,
            registry.NothingToRollBack,
            registry.VersionInUse,
            registry.FenceSpent,
            registry.NotEmpty,
        ),
    ),
    (MOVED, (registry.AliasMoved,)),
    (TOO_LARGE, (registry.TooManyBytes,)),
    (
        UNUSABLE,
        (registry.BadArtifact, registry.BadFileName, registry.ForbiddenFile, registry.MissingFile),
    ),
    (
        UNUSABLE,
        (registry.PickledWeights, registry.BadHeader, registry.BadTensor, registry.NonFiniteTensor),
    ),
    (
        UNUSABLE,
        (registry.BadConfig, registry.RemoteCode, registry.WrongRank),
    ),
    (
        UNUSABLE,
        (registry.RankTooLarge, registry.BadManifest, registry.BadArchive, registry.HubRefused),
    ),
    (FULL, (registry.StorageFull,)),
    (
        UNAVAILABLE,
        (
            registry.StorageBusy,
            registry.StorageUnavailable,
            registry.OutOfFiles,
            registry.HubUnavailable,
        ),
    ),
    (
        INTERNAL,
        (
            registry.RegistryError,
            registry.StorageError,
            registry.StorageReadOnly,
            registry.WrongSchema,
            registry.BackupUnusable,
        ),
    ),
    (INTERNAL, (registry.BlobMissing, registry.BlobCorrupt, registry.ObjectExists)),
    # ------------------------------------------------------------ trainer
    (INVALID, (trainer.BadSetting,)),
    (
        UNUSABLE,
        (
            trainer.BadDataset,
            trainer.BadEncoding,
            trainer.BadLine,
            trainer.MissingColumn,
            trainer.OneClass,
            trainer.AllDuplicates,
        ),
    ),
    (
        UNUSABLE,
        (trainer.TooManyClasses, trainer.TooFewRows, trainer.TooManyRows, trainer.UnlearnedLabels),
    ),
    (UNUSABLE, (job_checks.TooMuchMemory, job_checks.TooMuchTime, job_checks.ReaderCrashed)),
    (UNUSABLE, (trainer.TrainingDiverged, trainer.TensorsUnmoved, trainer.BaseChanged)),
    (NOT_FOUND, (server.NoReport, server.UnknownService, trainer.UnknownFile, trainer.UnknownJob)),
    (TOO_LARGE, (trainer.FileTooLarge,)),
    (CONFLICT, (trainer.FileInUse, trainer.JobEnded, trainer.Cancelled, trainer.Paused)),
    (CONFLICT, (trainer.UnreadableJob, trainer.TenantInUse)),
    (FULL, (trainer.StorageFull,)),
    (UNAVAILABLE, (trainer.Stopping, trainer.StorageBusy, trainer.StorageUnavailable)),
    (UNAVAILABLE, (trainer.OutOfFiles,)),
    (OVERLOADED, (trainer.Busy, job_checks.CheckFailed)),
    (
        INTERNAL,
        (
            trainer.TrainerError,
            trainer.StorageFailed,
            trainer.JobLost,
            trainer.LeaseLost,
            trainer.ReloadMismatch,
        ),
    ),
)

TABLE: dict[type[Exception], Outside] = {
    error: outside for outside, errors in _ROWS for error in errors
}

#: the roots of the four error trees; any other exception is a bug, and its message stays inside
DOMAIN_ERRORS = (
    server.ServerError,
    engine.EngineError,
    registry.RegistryError,
    trainer.TrainerError,
)


#: a longer message only repeats what the caller sent
_MESSAGE_CHARS = 4000
_PARAM_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An error as both transports render it."""

    code: str
    message: str
    outside: Outside
    retry_after_s: float | None = None
    #: the name of the invalid parameter, if there is one
    param: str | None = None

    def __post_init__(self) -> None:
        """Both may repeat what a caller sent, so they are made safe to send back."""
        object.__setattr__(self, "message", sayable(self.message, _MESSAGE_CHARS))
        if self.param is not None:
            object.__setattr__(self, "param", sayable(self.param, _PARAM_CHARS))


def sayable(text: str, most: int) -> str:
    """The text with a valid UTF-8 form and at most `most` characters."""
    if len(text) > most:
        text = text[: most - 1] + "\u2026"
    return text.encode("utf-8", "backslashreplace").decode()


def fault_of(error: BaseException) -> Fault:
    """The fault by the table's row for the error's class or its nearest ancestor.

    The message of an unknown error is not shown.
    """
    if isinstance(error, OSError) and has_run_out(error):  # from any package
        error = storage_error("The call could not be served", error)
    if not isinstance(error, DOMAIN_ERRORS):
        return Fault(
            code="internal", message="The server failed; its log has the details.", outside=INTERNAL
        )
    outside = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    retry_after_s = getattr(error, "retry_after_s", 1.0) if outside.retryable else None
    message = str(error) if outside.public else " ".join(str(type(error).__doc__).split())
    return Fault(
        code=error.code,
        message=message,
        outside=outside,
        retry_after_s=retry_after_s,
        param=getattr(error, "param", None),
    )


def error_named(code: str, message: str) -> Exception:
    """The error with this code, to fail a whole call with the failure of one row."""
    named = next((error for error in TABLE if vars(error).get("code") == code), None)
    return named(message) if named else server.ServerError(message)
