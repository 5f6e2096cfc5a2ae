"""The rows and facts that the checks examine, with the views that several checks share. Knows no
check.
"""

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
    tokenizer without a base.
    """

    spec: JobSpec
    #: of the training file, before anything is held out
    examples: list[Example]
    dev: list[Example] | None = None
    test: list[Example] | None = None
    #: names of the uploaded files by `train`, `dev` and `test`
    files: Mapping[str, str] = field(default_factory=dict)
    split: Split | None = None
    tokenizer: Tokenizer | None = None
    info: EngineInfo | None = None
    #: the similarity of each pair of texts by the base, where one can compute it
    likeness: Likeness | None = None
    #: whether the base can use worked examples in its prompt
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
        """The name of the file that the rows of a part of the split come from."""
        return self.files.get(part, self.file)

    @property
    def class_word(self) -> str | None:
        """None for heads without classes."""
        return _CLASSES.get(self.spec.head)

    def classes(self, row: Example) -> tuple[str, ...]:
        """The classes of a row; of a tagging row the type of each entity, with repetitions."""
        if self.spec.head != "tag":
            return HEAD_DATA[self.spec.head].strata(row)
        assert isinstance(row.label, tuple)
        return tuple(tag[2:] for tag in row.label if tag[0] in "BS")

    def rows_per_class(self) -> Counter[str]:
        """In how many rows of the training file each class occurs."""
        return Counter(name for row in self.examples for name in set(self.classes(row)))
