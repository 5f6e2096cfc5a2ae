"""The engine's error tree. Every error crosses the port as its `code` and its sentence."""

from __future__ import annotations

import errno
from typing import ClassVar


class EngineError(Exception):
    """The engine could not do what the step asked."""

    code: ClassVar[str] = "engine_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class BadAdapter(EngineError):
    """The adapter's files cannot be served on this base."""

    code = "bad_adapter"


class NoMatchingSite(BadAdapter):
    """The adapter matches no site of the base, or only some of them."""

    code = "no_matching_site"


class WrongShape(BadAdapter):
    """A tensor of the adapter has another shape than its site."""

    code = "wrong_shape"


class NonFiniteWeights(BadAdapter):
    """The adapter holds NaN or infinite weights."""

    code = "non_finite_weights"


class WrongBase(BadAdapter):
    """The adapter was made for another base."""

    code = "wrong_base"


class MissingTensors(BadAdapter):
    """The adapter's weights are not those of the modules that its configuration targets."""

    code = "missing_tensors"


class PatternRefused(BadAdapter):
    """A number of the adapter depends on an expression, and expressions are never run."""

    code = "pattern_refused"


class CannotCompose(BadAdapter):
    """The adapters cannot act together in one slot."""

    code = "cannot_compose"


class BadRow(EngineError):
    """A row cannot be computed."""

    code = "bad_row"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        #: the parameter at fault, where one is
        self.param = param


class BadMessage(BadRow):
    """A part of a conversation cannot be used. `where` is its path, such as messages[2].content."""

    code = "bad_message"

    def __init__(self, message: str | None = None, *, where: str = "messages") -> None:
        super().__init__(message)
        self.where = where


class NonFiniteResult(EngineError):
    """The row's result is not a finite number."""

    code = "non_finite_result"


class BadAnswering(EngineError):
    """The answer cannot be given the way it is wanted."""

    code = "bad_answering"


class NotLoaded(EngineError):
    """The step names a digest or slot that is not loaded."""

    code = "not_loaded"


class OutOfMemory(EngineError):
    """The weights do not fit the engine's byte budget."""

    code = "out_of_memory"


class BadTraining(EngineError):
    """The training step or its settings make no sense for this base."""

    code = "bad_training"


class Diverged(EngineError):
    """The training loss is no longer a finite number."""

    code = "diverged"


class BadCheckpoint(EngineError):
    """The checkpoint is not whole, or is not one of this training on this base."""

    code = "bad_checkpoint"


class CheckpointFailed(EngineError):
    """The checkpoint could not be written; nothing of it was kept."""

    code = "checkpoint_failed"


class FilesUnreadable(EngineError):
    """The machine could not read the adapter's files now; try again later."""

    code = "files_unreadable"


class SaveFailed(EngineError):
    """The adapter could not be written; nothing of it was published."""

    code = "save_failed"


class EngineGone(EngineError):
    """The engine stopped while the step was in flight; try again."""

    code = "engine_gone"


class BadBase(EngineError):
    """The base cannot be loaded."""

    code = "bad_base"


ERRORS: dict[str, type[EngineError]] = {
    error.code: error
    for error in (
        EngineError, BadAdapter, NoMatchingSite, WrongShape, NonFiniteWeights, WrongBase,
        MissingTensors, PatternRefused, CannotCompose, BadRow, BadMessage, BadAnswering,
        NonFiniteResult, NotLoaded, OutOfMemory, BadTraining, Diverged, BadCheckpoint,
        CheckpointFailed, FilesUnreadable, SaveFailed, EngineGone,
        BadBase,
    )
}  # fmt: skip


#: errors of the operating system that are the adapter's own fault: it has no such file
_ADAPTERS_OWN = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


def read_error(what: str, error: OSError) -> EngineError:
    """What to raise: only what is the adapter's own fault may be remembered of it."""
    kind = BadAdapter if error.errno in _ADAPTERS_OWN else FilesUnreadable
    return kind(f"{what} cannot be read: {error.strerror or error}")
