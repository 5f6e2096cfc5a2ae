"""What the fake engine says of the base it does not have: a small tokenizer, a chat template."""

from __future__ import annotations

import tokenizers

from engine import port
from engine.heads import HEADS
from engine.testing.bag_model import WIDTH

_CHAT_TEMPLATE = (
    "{% for turn in messages %}{{ turn.role }}: {{ turn.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def fake_info(num_slots: int = 8) -> port.EngineInfo:
    """What the fake says of itself: a two-layer base of width 256 and a whitespace tokenizer."""
    sites = [
        port.Site(
            name=f"encoder.layer.{layer}.attention.self.query",
            layer=layer,
            in_features=4,
            out_features=4,
        )
        for layer in range(2)
    ]
    return port.EngineInfo(
        base="fake",
        fingerprint="f" * 64,
        family="bert",
        hidden_size=WIDTH,
        num_layers=2,
        num_parameters=WIDTH * 100,
        max_tokens=128,
        dtype="float32",
        device="cpu",
        num_threads=1,
        packed=True,
        num_slots=num_slots,
        slot_bytes=2**20,
        sites=sites,
        sublayers=[],
        kinds=["lora", "bottleneck", "ia3", "bias", "head_only"],
        poolings={name: list(kind.poolings) for name, kind in HEADS.items()},
        tokenizer_json=fake_tokenizer_json(),
        chat_templates={"default": _CHAT_TEMPLATE},
        end_ids=[1],
        num_blocks=1024,
        embedding=port.BaseEmbedding(
            pooling="mean", max_tokens=64, prompts={"query": "query: ", "document": ""}
        ),
    )


def fake_tokenizer_json() -> str:
    """Byte-level, so that any text has tokens; words split at spaces and punctuation."""
    vocabulary = {"[CLS]": 0, "[SEP]": 1}
    for letter in sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[letter] = len(vocabulary)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    return str(tokenizer.to_str())
