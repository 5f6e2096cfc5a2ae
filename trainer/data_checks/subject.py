"""What the checks look at. Plain data, and the few views of it that several checks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.heads import is_generation
from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.dataset.split import Split
from trainer.heads import HEAD_DATA
from trainer.jobs.values import JobSpec
from trainer.readers.example import Example

#: a cosine for each pair of texts
Likeness = Callable[[Sequence[tuple[str, str]]], list[float]]

#: heads whose rows have classes, and what a row's classes are called
_CLASSES = {"classify": "label", "tag": "entity type"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The rows of a job that could be read. There is no split where there were errors, and no
    tokenizer where no base is at hand.
    """

    spec: JobSpec
    #: of the training file, before anything is held out
    examples: list[Example]
    dev: list[Example] | None = None
    test: list[Example] | None = None
    #: the file's name, by `train`, `dev` and `test`, as far as there are such files
    files: Mapping[str, str] = field(default_factory=dict)
    split: Split | None = None
    tokenizer: Tokenizer | None = None
    info: EngineInfo | None = None
    #: how alike the base finds each pair of texts, where it can be asked
    likeness: Likeness | None = None
    #: the base may learn from worked examples in its prompt
    writes: bool = False

    @property
    def generates(self) -> bool:
        """Whether the rows' answers are texts to generate."""
        return is_generation(self.spec.head)

    @property
    def file(self) -> str:
        """The name of the training file."""
        return self.files["train"]

    def file_of(self, part: str) -> str:
        """Where the rows of a part of the split come from."""
        return self.files.get(part, self.file)

    @property
    def class_word(self) -> str | None:
        """None for heads without classes."""
        return _CLASSES.get(self.spec.head)

    def classes(self, row: Example) -> tuple[str, ...]:
        """Of a tagging row each entity's type, as often as it occurs."""
        if self.spec.head != "tag":
            return HEAD_DATA[self.spec.head].strata(row)
        assert isinstance(row.label, tuple)
        return tuple(tag[2:] for tag in row.label if tag[0] in "BS")

    def rows_per_class(self) -> Counter[str]:
        """In how many rows of the training file each class occurs."""
        return Counter(name for row in self.examples for name in set(self.classes(row)))
