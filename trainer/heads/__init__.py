"""What the trainer knows about each head: one file per head and one line in `HEAD_DATA`. Heads do
not import each other.
"""

from typing import Any

from trainer.heads.classify import ClassifyData
from trainer.heads.embed import EmbedData
from trainer.heads.generate import GenerateData
from trainer.heads.head_data import HeadData
from trainer.heads.regress import RegressData
from trainer.heads.rerank import RerankData
from trainer.heads.span import SpanData
from trainer.heads.tag import TagData

HEAD_DATA: dict[str, HeadData[Any]] = {
    data.name: data
    for data in (
        ClassifyData(),
        TagData(),
        RegressData(),
        SpanData(),
        EmbedData(),
        RerankData(),
        GenerateData(),
    )
}

__all__ = ["HEAD_DATA", "HeadData"]
