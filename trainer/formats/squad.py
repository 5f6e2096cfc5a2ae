"""SQuAD's JSON document, of version 1 and 2: articles of paragraphs of questions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from trainer.errors import BadDataset, BadLine
from trainer.formats.lines import whole_text
from trainer.formats.record import Record

#: the whole document is read at once, so there is less of it than of a file read line by line
MAX_BYTES = 128 * 2**20
_BEGINNING = re.compile(rb'\s*\{\s*(?:"version"\s*:\s*"[^"]*"\s*,\s*)?"data"\s*:\s*\[')
#: inside a string the quotes would be escaped, so this is the key and nothing else
_QUESTION = re.compile(r'(?<!\\)"question"\s*:')


def is_squad(content: bytes) -> bool:
    """By its beginning, which no line of a JSONL file has."""
    return _BEGINNING.match(content) is not None


def read_squad(content: bytes) -> Iterator[Record | BadLine]:
    """A record per question, on the line of its question. Raises BadDataset."""
    if len(content) > MAX_BYTES:
        raise BadDataset(
            f"The SQuAD document is {len(content)} bytes; at most {MAX_BYTES} are read. Write one "
            "JSON object per line instead (JSONL)."
        )
    text = whole_text(content)
    try:
        articles = json.loads(text)["data"]
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"The file is not one JSON document: {error}.") from None
    lines = _question_lines(text)
    for index, (question, context) in enumerate(_questions(articles)):
        yield _record(question, context, lines[index] if index < len(lines) else 0)


def _questions(articles: Any) -> Iterator[tuple[Any, Any]]:
    """Whatever stands where questions should, for `_record` to judge."""
    for article in _listed(articles):
        for paragraph in _listed(_part(article, "paragraphs")):
            for question in _listed(_part(paragraph, "qas")):
                yield question, _part(paragraph, "context")


def _record(question: Any, context: Any, line: int) -> Record | BadLine:
    asked = _part(question, "question")
    if not isinstance(asked, str) or not isinstance(context, str):
        return BadLine(f"Line {line}: a question lacks its text or its context.", line=line)
    # the plausible answers of an impossible question are none
    answers = [] if question.get("is_impossible") else _part(question, "answers")
    fields = {"question": asked, "context": context, "answers": _distinct(answers)}
    return Record(line=line, fields={**fields, "id": question.get("id")})


def _distinct(answers: Any) -> Any:
    """Annotators often agree; the same answer twice teaches nothing."""
    if not isinstance(answers, list):
        return answers
    return list({json.dumps(answer, sort_keys=True): answer for answer in answers}.values())


def _question_lines(text: str) -> list[int]:
    lines, line, before = [], 1, 0
    for found in _QUESTION.finditer(text):
        line += text.count("\n", before, found.start())
        before = found.start()
        lines.append(line)
    return lines


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
