"""The errors of the engine, as one tree.

An error crosses the port as its `code` and its sentence; a docstring is the sentence of an error
that is raised without one.
"""

from __future__ import annotations

import errno
from typing import ClassVar


class EngineError(Exception):
    """The engine could not run the step."""

    code: ClassVar[str] = "engine_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class BadAdapter(EngineError):
    """The adapter's files cannot be served on this base."""

    code = "bad_adapter"


class WrongContent(BadAdapter):
    """A file of the adapter does not have the content that the version records."""

    code = "wrong_content"


class NoMatchingSite(BadAdapter):
    """Some modules that the adapter changes do not exist in the base."""

    code = "no_matching_site"


class WrongShape(BadAdapter):
    """The shape of a tensor of the adapter does not match its module in the base."""

    code = "wrong_shape"


class NonFiniteWeights(BadAdapter):
    """The adapter holds NaN or infinite weights."""

    code = "non_finite_weights"


class WrongBase(BadAdapter):
    """The adapter was trained on a base other than the one this server runs."""

    code = "wrong_base"


class MissingTensors(BadAdapter):
    """The adapter's weights do not match the modules that its configuration targets."""

    code = "missing_tensors"


class PatternRefused(BadAdapter):
    """A rank or alpha of the adapter is keyed by an expression; name the modules in its place."""

    code = "pattern_refused"


class NotExportable(BadAdapter):
    """The version cannot be written in this form."""

    code = "not_exportable"


class CannotCompose(BadAdapter):
    """The adapters cannot be combined into one."""

    code = "cannot_compose"


class BadRow(EngineError):
    """The base cannot compute the row."""

    code = "bad_row"

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        #: the parameter that is wrong, where the error concerns one
        self.param = param


class BadMessage(BadRow):
    """A part of the conversation is not valid."""

    code = "bad_message"

    def __init__(self, message: str | None = None, *, where: str = "messages") -> None:
        super().__init__(message)
        #: the path of that part, such as messages[2].content
        self.where = where


class NonFiniteResult(EngineError):
    """The row's result is not a finite number."""

    code = "non_finite_result"


class BadAnswering(EngineError):
    """The version cannot answer with the options of this call."""

    code = "bad_answering"


class NotLoaded(EngineError):
    """The step names an adapter or slot that is not loaded."""

    code = "not_loaded"


class OutOfMemory(EngineError):
    """The engine does not have enough memory for this step."""

    code = "out_of_memory"


class BadTraining(EngineError):
    """The settings of the training step are not valid for this base."""

    code = "bad_training"


class Diverged(EngineError):
    """The training loss is no longer a finite number."""

    code = "diverged"


class BadCheckpoint(EngineError):
    """The checkpoint is incomplete, or belongs to another training or base."""

    code = "bad_checkpoint"


class CheckpointFailed(EngineError):
    """The checkpoint could not be written, and no part of it was kept."""

    code = "checkpoint_failed"


class FilesUnreadable(EngineError):
    """The server could not read the adapter's files; try again later."""

    code = "files_unreadable"


class SaveFailed(EngineError):
    """The adapter could not be written, and no version was published."""

    code = "save_failed"


class EngineGone(EngineError):
    """The engine stopped before it had answered; try again."""

    code = "engine_gone"


class BadBase(EngineError):
    """The base cannot be loaded."""

    code = "bad_base"


class NoDevice(EngineError):
    """The device that the engine was to compute on is not there."""

    code = "no_device"


ERRORS: dict[str, type[EngineError]] = {
    error.code: error
    for error in (
        EngineError, BadAdapter, WrongContent, NoMatchingSite, WrongShape, NonFiniteWeights,
        WrongBase,
        MissingTensors, PatternRefused, CannotCompose, BadRow, BadMessage, BadAnswering,
        NonFiniteResult, NotLoaded, OutOfMemory, BadTraining, Diverged, BadCheckpoint,
        CheckpointFailed, FilesUnreadable, SaveFailed, EngineGone,
        BadBase, NoDevice,
    )
}  # fmt: skip


#: errors of the operating system that mean that the adapter lacks the file
_MISSING_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


def read_error(what: str, error: OSError) -> EngineError:
    """The error to raise for a file that cannot be read: BadAdapter, which callers may cache, only
    where the adapter lacks the file.
    """
    kind = BadAdapter if error.errno in _MISSING_FILE else FilesUnreadable
    return kind(f"{what} cannot be read: {error.strerror or error}")
