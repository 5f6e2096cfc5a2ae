"""SQuAD's JSON document, versions 1 and 2: articles of paragraphs of questions, or the questions
alone, as `datasets` exports them. Knows no head.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from trainer.errors import BadDataset, BadLine
from trainer.readers.json_text import parse_json
from trainer.readers.lines import whole_text
from trainer.readers.record import Record

#: the whole document is held in memory, so its limit is lower than that of a file of lines
MAX_BYTES = 128 * 2**20
#: inside a string the quotes would be escaped, so this matches only the key
_QUESTION = re.compile(r'(?<!\\)"question"\s*:')


def is_squad(content: bytes) -> bool:
    """Whether the file is one object with a list `data`, which no line of a JSONL file is."""
    if b'"data"' not in content or b'"question"' not in content:
        return False
    first = content.lstrip().partition(b"\n")[0]
    try:
        value = parse_json(first.decode()) if len(first) <= MAX_BYTES else {"data": []}
    except ValueError:
        return True  # an object over many lines
    return isinstance(value, dict) and isinstance(value.get("data"), list)


def read_squad(content: bytes) -> Iterator[Record | BadLine]:
    """A record per question, on the line of its question. Raises BadDataset."""
    if len(content) > MAX_BYTES:
        raise BadDataset(
            f"The SQuAD document has {len(content)} bytes, and the limit is {MAX_BYTES}; use one "
            "JSON object per line instead (JSON Lines)."
        )
    text = whole_text(content)
    try:
        articles = parse_json(text)["data"]
    except (ValueError, KeyError) as error:
        raise BadDataset(
            f"The file cannot be read as SQuAD, one JSON object with a list `data`: {error}."
        ) from None
    lines = _question_lines(text)
    questions = list(_questions(articles))
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
