"""One table for every error of every package, and how the transports say it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from adapterd.errors import InvalidInput
from adapters_registry.errors import BlobMissing, StorageError, UnknownTask
from engine.errors import ERRORS, EngineGone
from server.error_table import DOMAIN_ERRORS, TABLE, fault_of
from server.errors import NotText, Overloaded, ServerError, TooManyInputs
from server.grpc_api.status import trailers_of
from server.http_api.problem import http_fault, render


def every_class() -> Iterator[type[Exception]]:
    waiting = list(DOMAIN_ERRORS)
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting += kind.__subclasses__()


def test_every_error_of_every_package_has_a_row() -> None:
    ours = {k for k in every_class() if k.__module__.split(".")[-1] == "errors"}
    assert len(ours) > 60
    assert {kind.__qualname__ for kind in ours if kind not in TABLE} == set()
    assert set(ERRORS.values()) <= set(TABLE)


@pytest.mark.parametrize("kind", sorted(set(every_class()), key=lambda k: k.__qualname__))
def test_every_error_has_a_code_and_a_sentence(kind: type[ServerError]) -> None:
    assert kind.code
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")


@pytest.mark.parametrize("kind", [NotText, TooManyInputs, InvalidInput, EngineGone, UnknownTask])
def test_the_sentence_of_a_class_is_one_line_as_a_message(kind: type[Exception]) -> None:
    message = str(kind())
    assert message == " ".join((kind.__doc__ or "").split())
    assert "\n" not in message


def test_codes_are_told_apart_by_status_alone_nowhere_wrongly() -> None:
    """The same code never has two statuses: programs may rely on either."""
    seen: dict[str, tuple[int, grpc.StatusCode]] = {}
    for kind, outside in TABLE.items():
        status = (outside.http, outside.grpc)
        assert seen.setdefault(kind.code, status) == status, kind  # type: ignore[attr-defined]


@pytest.mark.survival("B10")
def test_an_unknown_error_keeps_its_sentence_to_itself() -> None:
    fault = fault_of(RuntimeError("/secret/path"))
    assert (fault.code, fault.outside.http) == ("internal", 500)
    assert "/secret" not in fault.message


@pytest.mark.survival("B10", "D7")
def test_storage_errors_do_not_tell_paths() -> None:
    for error in (StorageError("disk /secret failed"), BlobMissing("/secret/blob")):
        assert "/secret" not in fault_of(error).message


@pytest.mark.survival("H3")
def test_only_transient_refusals_say_when_to_come_back() -> None:
    for kind, outside in TABLE.items():
        assert outside.retryable == (outside.http in (429, 503)), kind


@pytest.mark.survival("H1", "H3")
def test_an_overloaded_server_says_when_over_both_transports() -> None:
    fault = fault_of(Overloaded(retry_after_s=2.5))
    trailers = dict(trailers_of(fault, "r1"))
    assert trailers["grpc-retry-pushback-ms"] == "2500"
    assert trailers["adapterd-code"] == "overloaded"
    assert b"RetryInfo" in trailers["grpc-status-details-bin"]  # type: ignore[operator]
    answer = render(http_fault(Overloaded(retry_after_s=2.5)), "r1")
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("3", "2500")
    assert answer.media_type == "application/problem+json"


def test_a_permanent_refusal_carries_no_retry_hint() -> None:
    trailers = dict(trailers_of(fault_of(ERRORS["wrong_base"]()), "r1"))
    assert "grpc-retry-pushback-ms" not in trailers
    assert b"RetryInfo" not in trailers["grpc-status-details-bin"]  # type: ignore[operator]
