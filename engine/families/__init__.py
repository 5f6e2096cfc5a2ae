"""The table of families.

A new family is one file here, or a line of `decoders.py`, and one line in `FAMILIES`; siblings do
not know each other. Torch-free.
"""

from engine.errors import BadBase
from engine.families.albert import ALBERT
from engine.families.bart import BART
from engine.families.bert import BERT
from engine.families.deberta_v2 import DEBERTA_V2
from engine.families.decoders import GEMMA3, GPT2, GPT_NEOX, LLAMA, OPT, PHI3, QWEN2, QWEN3
from engine.families.distilbert import DISTILBERT
from engine.families.electra import ELECTRA
from engine.families.family import Family
from engine.families.modernbert import MODERNBERT
from engine.families.mpnet import MPNET
from engine.families.roberta import ROBERTA
from engine.families.t5 import T5

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        BERT, ROBERTA, DISTILBERT, ELECTRA, ALBERT, MODERNBERT, DEBERTA_V2, MPNET,
        GPT2, LLAMA, QWEN2, QWEN3, GEMMA3, GPT_NEOX, OPT, PHI3,
        T5, BART,
    )
}  # fmt: skip


def family_of(model_type: str) -> Family:
    """The family of a `config.model_type`; raises BadBase with the types that are known."""
    for family in FAMILIES.values():
        if model_type in family.model_types:
            return family
    known = ", ".join(t for family in FAMILIES.values() for t in family.model_types)
    raise BadBase(f"the base is a {model_type!r} model; this engine serves {known}")


__all__ = ["FAMILIES", "Family", "family_of"]
