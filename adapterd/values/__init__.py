"""The values that the clients return: plain and frozen. They know no wire format.

This is their public face: users import every value from here.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from adapterd.values.checks import FileCheck, Finding, Sample
from adapterd.values.jobs import Estimate, Job, JobEvent, PresetEstimate
from adapterd.values.predictions import (
    Classification,
    Completion,
    CompletionChunk,
    ComposedAdapter,
    Embedding,
    Entity,
    Output,
    Prediction,
    Predictions,
    Question,
    Relevance,
    RowError,
    Span,
    Tags,
    TaskError,
    Timing,
    TokenLogprob,
    Value,
)
from adapterd.values.resources import (
    Alias,
    AliasEvent,
    AuditEvent,
    Erasure,
    File,
    Lineage,
    ReportLink,
    Task,
    Version,
)
from adapterd.values.result import Result

__all__ = [
    "Alias", "AliasEvent", "AuditEvent", "Classification", "Completion", "CompletionChunk",
    "ComposedAdapter", "Embedding", "Entity", "Erasure", "Estimate", "File", "FileCheck",
    "Finding", "Job", "JobEvent", "Lineage", "Output", "Prediction", "Predictions",
    "PresetEstimate", "Question", "Relevance", "ReportLink", "Result", "RowError", "Sample",
    "Span", "Tags", "Task", "TaskError", "Timing", "TokenLogprob", "Value", "Version",
]  # fmt: skip

#: names of the last release, kept for one more
_RENAMED = {
    "Composed": "ComposedAdapter",
    "Piece": "CompletionChunk",
    "WrittenText": "Completion",
    "WrittenToken": "TokenLogprob",
}

if not TYPE_CHECKING:  # a type checker would take any name to exist

    def __getattr__(name: str) -> Any:
        if name not in _RENAMED:
            raise AttributeError(f"module 'adapterd.values' has no attribute {name!r}")
        current = _RENAMED[name]
        warnings.warn(
            f"adapterd.values.{name} is now {current}; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return globals()[current]
