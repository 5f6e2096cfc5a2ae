"""SQuAD's JSON document, of version 1 and 2: articles of paragraphs of questions, or the questions
alone, as `datasets` writes them.
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

#: the whole document is read at once, so there is less of it than of a file read line by line
MAX_BYTES = 128 * 2**20
#: inside a string the quotes would be escaped, so this is the key and nothing else
_QUESTION = re.compile(r'(?<!\\)"question"\s*:')


def is_squad(content: bytes) -> bool:
    """One object with a list of data in it, which no line of a JSONL file is."""
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
            f"The SQuAD document is {len(content)} bytes; at most {MAX_BYTES} are read. Write one "
            "JSON object per line instead (JSONL)."
        )
    text = whole_text(content)
    try:
        articles = parse_json(text)["data"]
    except (ValueError, KeyError) as error:
        raise BadDataset(f"The file is not one JSON document with data: {error}.") from None
    lines = _question_lines(text)
    found = list(_questions(articles))
    # where a question has no text, or another thing is called one, the lines are not known
    known = len(lines) == len(found)
    for index, (question, context) in enumerate(found):
        line, unit = (lines[index], "Line") if known else (index + 1, "Question")
        yield _record(question, context, line, unit)


def _questions(articles: Any) -> Iterator[tuple[Any, Any]]:
    """Whatever stands where questions should, for `_record` to judge."""
    for place, article in enumerate(_listed(articles, "data"), start=1):
        where = f"article {place}"
        if "question" in article:
            yield article, article.get("context")
            continue
        for paragraph in _listed(article.get("paragraphs"), f"paragraphs of {where}"):
            for question in _listed(paragraph.get("qas"), f"qas of a paragraph of {where}"):
                yield question, paragraph.get("context")


def _record(question: dict[str, Any], context: Any, line: int, unit: str) -> Record | BadLine:
    asked, answers = question.get("question"), question.get("answers")
    if not isinstance(asked, str) or not isinstance(context, str):
        return BadLine(f"{unit} {line}: a question lacks its text or its context.", line=line)
    if question.get("is_impossible") and answers is None:
        answers = []
    fields: dict[str, Any] = {
        "question": asked, "context": context, "answers": _distinct(answers),
        **{name: question[name] for name in ("id", "is_impossible") if name in question},
    }  # fmt: skip
    return Record(line=line, fields=fields, unit=unit)


def _distinct(answers: Any) -> Any:
    """Annotators often agree; the same answer twice teaches nothing."""
    if not isinstance(answers, list):
        return answers
    by_text: dict[str, Any] = {json.dumps(answer, sort_keys=True): answer for answer in answers}
    return list(by_text.values())


def _question_lines(text: str) -> list[int]:
    lines, line, before = [], 1, 0
    for found in _QUESTION.finditer(text):
        line += text.count("\n", before, found.start())
        before = found.start()
        lines.append(line)
    return lines


def _listed(value: Any, where: str) -> list[dict[str, Any]]:
    """Raises BadDataset where questions would be lost."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    raise BadDataset(f"The SQuAD document's {where} must be a list of objects.")
