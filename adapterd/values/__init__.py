"""What the clients give back: plain frozen values. They know no wire format."""

from __future__ import annotations

from adapterd.values.checks import FileCheck, Finding, Sample
from adapterd.values.composed import Composed
from adapterd.values.generated import Piece, RowError, WrittenText, WrittenToken
from adapterd.values.jobs import Estimate, JobEvent
from adapterd.values.values import (
    Alias,
    AliasEvent,
    Classification,
    Embedding,
    Entity,
    File,
    Job,
    Output,
    Prediction,
    Predictions,
    Question,
    Relevance,
    Span,
    Tags,
    Task,
    TaskError,
    Timing,
    Value,
    Version,
)

__all__ = [
    "Alias", "AliasEvent", "Classification", "Composed", "Embedding", "Entity", "Estimate", "File",
    "FileCheck", "Finding", "Job", "JobEvent", "Output", "Piece", "Prediction", "Predictions",
    "Question", "Relevance", "RowError", "Sample", "Span", "Tags", "Task", "TaskError", "Timing",
    "Value", "Version", "WrittenText", "WrittenToken",
]  # fmt: skip
