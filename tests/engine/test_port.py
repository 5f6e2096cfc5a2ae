"""The codec of the port, and how futures end."""

from __future__ import annotations

import typing
from concurrent.futures import Future
from typing import Any

import msgspec
import numpy as np
import pytest

from engine import port
from engine.errors import ERRORS, EngineError, NotExportable, NotLoaded

SITE = port.Site(name="layer.0", layer=0, in_features=4, out_features=8)
SAMPLES: dict[type, Any] = {
    int: 7, float: 0.25, str: "é", bytes: b"\x00\xff", bool: True, Any: {"a": [1, None]},
}  # fmt: skip


def sample(kind: Any) -> Any:
    """Some value of a field's type; optional fields get one too."""
    if kind in SAMPLES:
        return SAMPLES[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return message(kind)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is list:
        return [sample(arguments[0])]
    if typing.get_origin(kind) is tuple:
        return tuple(sample(argument) for argument in arguments)
    if typing.get_origin(kind) is dict:
        return {sample(arguments[0]): sample(arguments[1])}
    return sample(arguments[0])


def message(kind: type[Any]) -> Any:
    return kind(**{f.name: sample(f.type) for f in msgspec.structs.fields(kind)})


def message_types() -> list[type[Any]]:
    return [*typing.get_args(port.Step), *typing.get_args(port.Result)]


@pytest.mark.parametrize("kind", message_types(), ids=lambda kind: kind.__name__)
def test_every_message_comes_back_as_it_went(kind: type[Any]) -> None:
    envelope = port.Envelope(3, message(kind))
    assert port.decode(port.encode(envelope)) == envelope


@pytest.mark.parametrize("kind", message_types(), ids=lambda kind: kind.__name__)
def test_every_message_comes_back_with_its_defaults(kind: type[Any]) -> None:
    required = [f for f in msgspec.structs.fields(kind) if f.required]
    envelope = port.Envelope(0, kind(**{f.name: sample(f.type) for f in required}))
    assert port.decode(port.encode(envelope)) == envelope


def test_every_message_class_is_a_step_a_result_or_part_of_one() -> None:
    parts = {
        port.Site, port.Array, port.Row, port.File, port.LossOptions, port.StartSequence,
        port.Sampling, port.SequenceOutput, port.TokenLogprob, port.BaseEmbedding,
    }  # fmt: skip
    assert set(port.Message.__subclasses__()) == set(message_types()) | parts


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\xc1", b"hello", b"\x92\x01\x80", b"\x92\x01\x81\xa4type\xa3Nop", b"\x00" * 9],
)
def test_rubbish_is_refused(rubbish: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        port.decode(rubbish)


def test_a_message_with_a_wrong_field_is_refused() -> None:
    good = port.encode(port.Envelope(1, port.Unload(digest="abc")))
    with pytest.raises(msgspec.DecodeError, match="str"):
        port.decode(good.replace(b"\xa3abc", b"\x07"))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (0, 4), (1, 2, 3)])
def test_an_array_keeps_shape_and_values(shape: tuple[int, ...]) -> None:
    given = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(port.Array.of(given).numpy(), given)


def test_an_array_of_another_layout_or_precision_travels_as_float32_rows() -> None:
    given = np.arange(6, dtype=np.float64).reshape(2, 3).T
    np.testing.assert_array_equal(port.Array.of(given).numpy(), given)  # type: ignore[arg-type]


def test_a_result_settles_a_future() -> None:
    future: Future[port.Result] = Future()
    port.settle(future, port.Done())
    assert future.result() == port.Done()


def test_a_failure_settles_a_future_with_the_error_its_code_names() -> None:
    future: Future[port.Result] = Future()
    port.settle(future, port.Failure(code="not_loaded", message="slot 3 holds nothing"))
    with pytest.raises(NotLoaded, match="slot 3 holds nothing"):
        future.result()


def test_a_failure_of_an_unknown_code_is_an_engine_error_all_the_same() -> None:
    future: Future[port.Result] = Future()
    port.settle(future, port.Failure(code="new_code", message="something new"))
    with pytest.raises(EngineError, match="something new"):
        future.result()


def test_every_engine_error_crosses_the_port_under_its_own_code() -> None:
    def family(error: type[EngineError]) -> set[type[EngineError]]:
        return {error}.union(*(family(child) for child in error.__subclasses__()))

    ours = {error for error in family(EngineError) if error.__module__ == "engine.errors"}
    # an export is made from files, without a port
    assert set(ERRORS.values()) == ours - {NotExportable}
