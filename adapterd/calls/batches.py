"""Splits any number of inputs into calls, and puts their answers together. Knows no channel.

Both clients send the batches; this module decides how large they are, which errors are worth
another attempt, and what pins all calls to one version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from adapterd.calls.arguments import describe
from adapterd.calls.call_options import PredictOptions
from adapterd.calls.inputs import read_input
from adapterd.errors import (
    AdapterdError,
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    TooLarge,
    Unavailable,
)
from adapterd.v1 import predictor_pb2
from adapterd.values import Output, Prediction, RowError

_TOO_MANY_INPUTS = "too_many_inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """How inputs are sent: small calls, a few at a time, with patience for a server that restarts.

    A server batches the rows of several calls, so that larger calls would not be faster.
    """

    max_rows: int = 64
    #: of all inputs of a call, as messages
    max_bytes: int = 256 * 1024
    calls_in_flight: int = 4
    #: seconds before each further attempt of a call that could not be answered
    delays_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputBatch:
    """The inputs of one call, and the errors of those that cannot be sent, by position."""

    inputs: Sequence[predictor_pb2.Input]
    errors: Mapping[int, RowError] = field(default_factory=dict)

    def arrange(self, outputs: Sequence[Output]) -> list[Output]:
        """The outputs of the inputs that were sent, with the errors at their positions."""
        answers = iter(outputs)
        count = len(outputs) + len(self.errors)
        return [self.errors[n] if n in self.errors else next(answers) for n in range(count)]

    def split(self) -> tuple[InputBatch, InputBatch]:
        middle = len(self.inputs) // 2
        return InputBatch(inputs=self.inputs[:middle]), InputBatch(inputs=self.inputs[middle:])


def split_inputs(inputs: Iterable[Any], plan: BatchPlan) -> Iterator[InputBatch]:
    """An input that no task takes gets an error of its own instead of failing its neighbours; so
    does one that is a RowError already. Raises InvalidInput for what is no list of inputs.
    """
    if isinstance(inputs, str | bytes | Mapping):
        raise InvalidInput(f"inputs is {describe(inputs)}; it must be a list of inputs.")
    messages, errors, size = list[predictor_pb2.Input](), dict[int, RowError](), 0
    for value in inputs:
        message = _read(value)
        if isinstance(message, RowError):
            errors[len(messages) + len(errors)] = message
        else:
            if messages and size + message.ByteSize() > plan.max_bytes:
                yield InputBatch(inputs=messages, errors=errors)
                messages, errors, size = [], {}, 0
            messages.append(message)
            size += message.ByteSize()
        if len(messages) + len(errors) >= plan.max_rows:
            yield InputBatch(inputs=messages, errors=errors)
            messages, errors, size = [], {}, 0
    if messages or errors:
        yield InputBatch(inputs=messages, errors=errors)


def _read(value: Any) -> predictor_pb2.Input | RowError:
    if isinstance(value, RowError):
        return value
    try:
        return read_input("The input", value)
    except InvalidInput as error:
        return RowError(code=error.code, message=str(error))


def names_row_limit(error: AdapterdError) -> bool:
    """Whether later calls should have fewer inputs too: the server takes no more, or is slow."""
    return isinstance(error, DeadlineExceeded) or error.problem == _TOO_MANY_INPUTS


def is_divisible(error: AdapterdError, batch: InputBatch) -> bool:
    """Whether the halves of the batch may be answered where the whole was not."""
    return len(batch.inputs) > 1 and (isinstance(error, TooLarge) or names_row_limit(error))


def is_worth_retrying(error: AdapterdError, *, has_answered: bool) -> bool:
    """Before the first answer only an overload is, so that a wrong address is reported at once."""
    if isinstance(error, DeadlineExceeded):
        return False  # it has had its time
    return isinstance(error, Unavailable if has_answered else Overloaded)


def pin_version(prediction: Prediction) -> str:
    """The ref of the version that answered; the base has no versions."""
    return f"{prediction.task}@{prediction.version}" if prediction.version else prediction.task


def pin_options(prediction: Prediction, options: PredictOptions) -> PredictOptions:
    """The options with the versions of the composition, of which an alias could move as well."""
    if not prediction.composed:
        return options
    compose = [
        {"ref": f"{part.task}@{part.version}", "weight": part.weight}
        for part in prediction.composed
    ]
    return cast(PredictOptions, {**options, "compose": compose})
