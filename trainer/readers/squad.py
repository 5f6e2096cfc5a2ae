"""The articles of SQuAD's JSON document, versions 1 and 2: paragraphs of questions, or only the
questions, as `datasets` exports them. Knows no head.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from trainer.errors import BadDataset, BadLine
from trainer.readers.record import Record

#: inside a string the quotes would be escaped, so this matches only the key
_QUESTION = re.compile(r'(?<!\\)"question"\s*:')


def is_squad(articles: list[Any]) -> bool:
    """Whether the list holds articles with paragraphs, or questions with their contexts."""
    return any(
        isinstance(each, dict) and ("paragraphs" in each or {"question", "context"} <= each.keys())
        for each in articles
    )


def read_squad(articles: list[Any], text: str) -> Iterator[Record | BadLine]:
    """A record per question, on the line of its question in the document's text. Raises
    BadDataset.
    """
    lines = _question_lines(text)
    questions = list(_questions(articles))
    if not questions:
        raise BadDataset(
            "The file was taken for SQuAD, because the list `data` of its object has `paragraphs`; "
            "there is no question in them."
        )
    # if a question has no text, or `question` is also another key, the lines are unknown
    known = len(lines) == len(questions)
    for index, (question, context) in enumerate(questions):
        line, unit = (lines[index], "Line") if known else (index + 1, "Question")
        yield _record(question, context, line, unit)


def _questions(articles: Any) -> Iterator[tuple[Any, Any]]:
    """The entries in the place of questions, which `_record` checks, with their contexts."""
    for place, article in enumerate(_object_list(articles, "data"), start=1):
        where = f"article {place}"
        if "question" in article:
            yield article, article.get("context")
            continue
        for paragraph in _object_list(article.get("paragraphs"), f"paragraphs of {where}"):
            for question in _object_list(paragraph.get("qas"), f"qas of a paragraph of {where}"):
                yield question, paragraph.get("context")


def _record(question: dict[str, Any], context: Any, line: int, unit: str) -> Record | BadLine:
    text, answers = question.get("question"), question.get("answers")
    if not isinstance(text, str) or not isinstance(context, str):
        return BadLine(f"{unit} {line}: a question lacks its text or its context.", line=line)
    if question.get("is_impossible") and answers is None:
        answers = []
    fields: dict[str, Any] = {
        "question": text,
        "context": context,
        "answers": _distinct(answers),
        **{name: question[name] for name in ("id", "is_impossible") if name in question},
    }
    return Record(line=line, fields=fields, unit=unit)


def _distinct(answers: Any) -> Any:
    """Without repetitions: annotators often agree, and a repeated answer adds nothing."""
    if not isinstance(answers, list):
        return answers
    by_text: dict[str, Any] = {json.dumps(answer, sort_keys=True): answer for answer in answers}
    return list(by_text.values())


def _question_lines(text: str) -> list[int]:
    lines, line, before = [], 1, 0
    for match in _QUESTION.finditer(text):
        line += text.count("\n", before, match.start())
        before = match.start()
        lines.append(line)
    return lines


def _object_list(value: Any, where: str) -> list[dict[str, Any]]:
    """Raises BadDataset where questions would be lost."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    raise BadDataset(f"The SQuAD document's {where} must be a list of objects.")
