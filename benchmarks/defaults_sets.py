"""The labelled sets of `benchmarks.defaults`: their rows, sources and splits.

Knows no training method.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

WORDNET = Path("/usr/share/wordnet/data.noun")
_EXAMPLES = Path(__file__).parents[1] / "examples" / "data"
_SUBPACKAGES = (
    "fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse",
    "special", "stats",
)  # fmt: skip
#: sentences that may begin with the name that is to be guessed are cut here
_LONG_TEXT_CHARS = 600
_LEAST_OF_A_TOPIC = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """One set. `most` rows of it are drawn, `test_rows` of them for the test."""

    head: str
    metric: str
    #: from the folder of shared data
    load: Callable[[Path], list[Row]]
    source: str
    licence: str
    most: int
    test_rows: int

    def split(self, data: Path, seed: int) -> Split:
        # a text that stands twice would be left out of the test by one method and not by another
        rows = list({_inputs(row): row for row in self.load(data)}.values())
        drawn = random.Random(seed).sample(rows, min(self.most, len(rows)))
        return Split(train=drawn[self.test_rows :], test=drawn[: self.test_rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The rows that every method trains on, and those that every method is judged on."""

    train: list[Row]
    test: list[Row]

    @property
    def digest(self) -> str:
        content = json.dumps([self.train, self.test], sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:12]


def _inputs(row: Row) -> str:
    texts = row["tokens"] if "tokens" in row else [row["text"], row.get("text_pair", "")]
    return " ".join(" ".join(texts).lower().split())


def _read_lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _polarity(name: str) -> Callable[[Path], list[Row]]:
    """Rows with |score| > 0.3, labelled by the sign."""

    def load(data: Path) -> list[Row]:
        return [
            {"text": row["text"], "label": "positive" if row["score"] > 0 else "negative"}
            for row in _read_lines(data / name)
            if abs(row["score"]) > 0.3
        ]

    return load


def _scores(name: str) -> Callable[[Path], list[Row]]:
    def load(data: Path) -> list[Row]:
        return [{"text": row["text"], "label": row["score"]} for row in _read_lines(data / name)]

    return load


def _mail(_: Path) -> list[Row]:
    return [
        {"text": row["text"], "label": row["label"]}
        for row in _read_lines(_EXAMPLES / "mail.jsonl")
    ]


def _entities(path: Path) -> list[Row]:
    """Sentences of a CoNLL file: a word and its tag in a line, blank lines between sentences."""
    rows = []
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        pairs = [line.split() for line in block.splitlines() if len(line.split()) >= 2]
        if pairs:
            rows.append({"tokens": [p[0] for p in pairs], "tags": [p[-1] for p in pairs]})
    return rows


def _senses() -> Iterator[tuple[str, str, list[str]]]:
    """WordNet's nouns: topic, definition and example sentences."""
    for line in WORDNET.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields, _, gloss = line.partition(" | ")
        definition, *_ = re.split(r'; "', gloss)
        yield fields.split()[1], definition.strip(), re.findall(r'"([^"]{20,})"', gloss)


def _topics(_: Path) -> list[Row]:
    rows = [{"text": text, "label": f"topic-{topic}"} for topic, text, _ in _senses()]
    counts = Counter(row["label"] for row in rows)
    # so that every draw has rows of each label to learn from
    return [row for row in rows if counts[row["label"]] >= _LEAST_OF_A_TOPIC]


def _pairs(_: Path) -> list[Row]:
    """Whether a sentence is an example of a definition; every second one is another's example."""
    shown = [(text, examples[0]) for _, text, examples in _senses() if examples]
    others = [example for _, example in shown]
    random.Random(0).shuffle(others)
    return [
        {"text": text, "text_pair": (example, other)[i % 2], "label": ("yes", "no")[i % 2]}
        for i, ((text, example), other) in enumerate(zip(shown, others, strict=True))
    ]


def _docstrings(_: Path) -> list[Row]:
    """Docstrings of SciPy's functions and classes, by subpackage."""
    rows = {}
    for name in _SUBPACKAGES:
        module = importlib.import_module(f"scipy.{name}")
        for member in sorted(getattr(module, "__all__", dir(module))):
            text = inspect.getdoc(getattr(module, member, None)) or ""
            if len(text) > 200:
                plain = re.sub(r"scipy(\.\w+)*", "the library", text)
                rows.setdefault(plain[:_LONG_TEXT_CHARS], f"scipy.{name}")
    return [{"text": text, "label": label} for text, label in rows.items()]


_VADER = {"source": "VADER study (Hutto and Gilbert 2014)", "licence": "MIT"}
_WORDNET = {"source": "WordNet 3.0, Debian's wordnet-base", "licence": "WordNet"}

SETS = {
    "tweets, polarity": LabelledSet(
        head="classify", metric="accuracy", load=_polarity("tweets.jsonl"), most=1500,
        test_rows=500, **_VADER,
    ),
    "film reviews, polarity": LabelledSet(
        head="classify", metric="accuracy", load=_polarity("movie_reviews.jsonl"), most=1100,
        test_rows=500, **_VADER,
    ),
    "editorials, polarity": LabelledSet(
        head="classify", metric="accuracy", load=_polarity("editorials.jsonl"), most=1500,
        test_rows=500, **_VADER,
    ),
    "film reviews, 200 rows": LabelledSet(
        head="classify", metric="accuracy", load=_polarity("movie_reviews.jsonl"), most=700,
        test_rows=500, **_VADER,
    ),
    "tweets, score": LabelledSet(
        head="regress", metric="pearson", load=_scores("tweets.jsonl"), most=1100,
        test_rows=500, **_VADER,
    ),
    "mail, topic": LabelledSet(
        head="classify", metric="accuracy", load=_mail,
        most=480, test_rows=160, source="examples/data", licence="Apache-2.0",
    ),
    "definitions, 24 topics": LabelledSet(
        head="classify", metric="accuracy", load=_topics, most=2500,
        test_rows=500, **_WORDNET,
    ),
    "definition and example, pairs": LabelledSet(
        head="classify", metric="accuracy", load=_pairs, most=1100,
        test_rows=500, **_WORDNET,
    ),
    "docstrings, 10 subpackages": LabelledSet(
        head="classify", metric="accuracy", load=_docstrings,
        most=500, test_rows=200, source="SciPy's docstrings", licence="BSD-3-Clause",
    ),
    "tweets, entities": LabelledSet(
        head="tag", metric="f1", load=lambda data: _entities(data / "tweets_ner.conll"),
        most=1500, test_rows=500, source="WNUT-2016 (Strauss et al.)",
        licence="for tests only, not redistributed",
    ),
    "contracts, dates": LabelledSet(
        head="tag", metric="f1", load=lambda _: _entities(_EXAMPLES / "contract_dates.conll"),
        most=600, test_rows=150, source="examples/data", licence="Apache-2.0",
    ),
}  # fmt: skip
