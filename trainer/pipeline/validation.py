"""A job's files, prepared where there is a base to ask: what its VALIDATING phase is. Trains
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.heads.embed import EmbedHead
from engine.port import EngineInfo
from engine.text.tokenizer import Tokenizer
from trainer.data_checks.embedder import Embedder
from trainer.jobs.file_store import FileStore
from trainer.jobs.values import JobSpec
from trainer.pipeline.prepare import Prepared, prepare


def validated(
    files: FileStore,
    spec: JobSpec,
    info: EngineInfo,
    tokenizer: Tokenizer,
    embedder: Embedder,
    waiting: Callable[[], object],
) -> Prepared:
    """Raises BadDataset, UnknownFile and what `waiting` does."""

    def likeness(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return embedder.likeness(spec.tenant, pairs, waiting)

    # an encoder-decoder answers nothing before it writes
    asked = likeness if EmbedHead.name in info.poolings else None
    return prepare(files, spec, tokenizer, asked, info=info)
