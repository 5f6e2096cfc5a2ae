"""Any number of inputs as calls: order, limits, retries and one version for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from adapterd import AsyncClient, Client
from adapterd.calls.batches import BatchPlan
from adapterd.client.async_batch_predictor import AsyncBatchPredictor
from adapterd.client.batch_predictor import BatchPredictor
from adapterd.errors import (
    AdapterdError,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    Overloaded,
    Refused,
    TooLarge,
    Unavailable,
)
from adapterd.values import ComposedAdapter, Output, Prediction, RowError, Timing, Value

TIMING = Timing(tokenize_ms=0, queue_ms=0, compute_ms=0, total_ms=0)
Answer = Callable[[str, list[str], dict[str, Any]], Prediction]


def predict(ref: str, texts: list[str], _options: dict[str, Any]) -> Prediction:
    """The length of each text, by version 7."""
    outputs = tuple(Value(value=float(len(text))) for text in texts)
    return Prediction(task="t", version=7, digest="d", outputs=outputs, timing=TIMING)


def collect(
    kind: str, answer: Answer, inputs: Iterable[Any], plan: BatchPlan | None = None, **options: Any
) -> list[Output]:
    """The outputs, by the predictor of the sync or of the asyncio client."""
    quick = plan or BatchPlan(max_rows=4, delays_s=(0.0, 0.0))

    def send(ref: str, messages: Any, options: Any) -> Prediction:
        return answer(ref, [message.text for message in messages], options)

    async def send_async(ref: str, messages: Any, options: Any) -> Prediction:
        await asyncio.sleep(0)
        return send(ref, messages, options)

    async def collect_async() -> list[Output]:
        predictor = AsyncBatchPredictor(send_async, "t", options, quick)  # type: ignore[arg-type]
        return [output async for output in predictor.predict(inputs)]

    if kind == "async":
        return asyncio.run(collect_async())
    return list(BatchPredictor(send, "t", options, quick).predict(inputs))  # type: ignore[arg-type]


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
def test_outputs_come_in_the_order_of_the_inputs_with_errors_in_their_places(kind: str) -> None:
    inputs = ["a" * n if n % 5 else n for n in range(23)]
    outputs = collect(kind, predict, inputs)
    assert [isinstance(output, RowError) for output in outputs] == [n % 5 == 0 for n in range(23)]
    assert [output.value for output in outputs if isinstance(output, Value)] == [
        float(n) for n in range(23) if n % 5
    ]


@both
def test_a_single_text_is_no_list_of_inputs(kind: str) -> None:
    with pytest.raises(InvalidInput, match=r"inputs is a str \('a day'\); it must be a list"):
        collect(kind, predict, "a day")


@both
def test_the_version_of_the_first_answer_answers_all(kind: str) -> None:
    refs = []

    def answer(ref: str, texts: list[str], options: dict[str, Any]) -> Prediction:
        refs.append(ref)
        return predict(ref, texts, options)

    collect(kind, answer, ["a"] * 12)
    assert refs == ["t", "t@7", "t@7"]


@both
def test_the_versions_of_a_composition_are_those_of_the_first_answer(kind: str) -> None:
    composed = (ComposedAdapter(task="u", version=3, digest="e", weight=0.5),)
    asked = []

    def answer(ref: str, texts: list[str], options: dict[str, Any]) -> Prediction:
        asked.append(options["compose"])
        made = predict(ref, texts, options)
        return Prediction(
            task="t", version=7, digest="d", outputs=made.outputs, timing=TIMING, composed=composed
        )

    collect(kind, answer, ["a"] * 8, compose=[{"ref": "u@canary", "weight": 0.5}])
    assert asked == [[{"ref": "u@canary", "weight": 0.5}], [{"ref": "u@3", "weight": 0.5}]]


@both
@pytest.mark.parametrize("error", [Unavailable(), Overloaded()])
def test_a_call_that_meets_a_busy_or_restarting_server_is_sent_again(
    kind: str, error: AdapterdError
) -> None:
    failures = iter([None, error, error])

    def answer(ref: str, texts: list[str], options: dict[str, Any]) -> Prediction:
        if failure := next(failures, None):
            raise failure
        return predict(ref, texts, options)

    assert len(collect(kind, answer, ["a"] * 8)) == 8


@both
def test_a_server_that_is_not_there_is_reported_at_once(kind: str) -> None:
    calls = []

    def answer(ref: str, texts: list[str], options: dict[str, Any]) -> Prediction:
        calls.append(texts)
        raise Unavailable

    with pytest.raises(Unavailable):
        collect(kind, answer, ["a"])
    assert len(calls) == 1


@both
@pytest.mark.parametrize(
    "error", [TooLarge(), DeadlineExceeded(), Refused(problem="too_many_inputs")]
)
def test_a_call_of_too_much_is_sent_in_halves(kind: str, error: AdapterdError) -> None:
    def answer(ref: str, texts: list[str], options: dict[str, Any]) -> Prediction:
        if len(texts) > 2:
            raise error
        return predict(ref, texts, options)

    outputs = collect(kind, answer, ["a" * n for n in range(1, 17)], BatchPlan(max_rows=16))
    assert [output.value for output in outputs if isinstance(output, Value)] == list(range(1, 17))


@both
def test_one_input_that_is_too_large_fails_alone(kind: str) -> None:
    def answer(ref: str, texts: list[str], options: dict[str, Any]) -> Prediction:
        if "large" in texts:
            raise TooLarge("The body is too large.", problem="body_too_large")
        return predict(ref, texts, options)

    outputs = collect(kind, answer, ["a", "large", "b"])
    assert outputs[1] == RowError(code="body_too_large", message="The body is too large.")
    assert outputs[2] == Value(value=1.0)


@both
def test_an_error_of_the_call_ends_the_run(kind: str) -> None:
    with pytest.raises(NotFound):
        collect(kind, lambda *_: (_ for _ in ()).throw(NotFound()), ["a"])


@both
def test_calls_are_limited_in_bytes(kind: str) -> None:
    sizes = []

    def answer(ref: str, texts: list[str], options: dict[str, Any]) -> Prediction:
        sizes.append(len(texts))
        return predict(ref, texts, options)

    collect(kind, answer, ["a" * 100] * 6, BatchPlan(max_bytes=250))
    assert sizes == [2, 2, 2]


def test_inputs_are_read_no_further_than_a_few_calls_ahead() -> None:
    taken = 0

    def inputs() -> Iterator[str]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield "a"

    def send(ref: str, messages: Any, options: Any) -> Prediction:
        return predict(ref, [message.text for message in messages], options)

    plan = BatchPlan(max_rows=10, calls_in_flight=2)
    outputs = BatchPredictor(send, "t", {}, plan).predict(inputs())
    for _ in range(11):
        next(outputs)
    assert taken <= 50
    outputs.close()


async def test_both_clients_answer_rows_one_by_one(
    client: Client, environment: None, tmp_path: Any
) -> None:
    from engine.testing.fake_engine import write_fake_adapter

    client.register("rows", write_fake_adapter(tmp_path / "a", ["bad", "good"]))
    texts = [f"text {n}" for n in range(150)]
    outputs = list(client.predict_rows("rows", texts, progress=True))
    assert outputs[149] == client.predict("rows", texts[149]).outputs[0]
    async with AsyncClient() as asynchronous:
        assert [each async for each in asynchronous.predict_rows("rows", texts)] == outputs
