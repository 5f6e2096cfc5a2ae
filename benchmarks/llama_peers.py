"""llama.cpp in Q8_0, which packs the texts of a batch: the bare BERT base as mean vectors.

The wheel of `xllamacpp` is built for AVX2; a build for the processor at hand may be faster.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import quantize
from safetensors.numpy import load_file

from benchmarks.peers import Batches, Way
from engine.model.source import base_path

#: of one forward; the tokens of every batch are fewer
MAX_TOKENS = 2048
WORD_START = "\u2581"
#: in the words of GGUF
SPECIAL_TOKENS = {
    "bos": "[CLS]", "eos": "[SEP]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"
}  # fmt: skip


def llama_ways(base: str, scratch: Path, batches: Batches) -> dict[str, Way]:
    return {
        "llama.cpp Q8_0 (AVX2 wheel), no adapter, packed": partial(
            _make_run, base, scratch, batches
        )
    }


def _make_run(base: str, scratch: Path, batches: Batches) -> Callable[[], None]:
    server = _start_server(_write_gguf(base, scratch), len(batches[0]))

    def run() -> None:
        for rows in batches:
            answer = server.handle_embeddings({"input": rows, "encoding_format": "base64"})
            assert len(answer["data"]) == len(rows), answer

    return run


def _start_server(model: Path, num_rows: int) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.embedding = True
    params.n_parallel = num_rows
    params.n_batch = params.n_ubatch = MAX_TOKENS
    params.n_ctx = num_rows * 512
    params.n_gpu_layers = 0
    params.verbosity = -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    return xllamacpp.Server(params)


def _write_gguf(base: str, scratch: Path) -> Path:
    """The base as llama.cpp's own converter writes it."""
    path, source = scratch / "base.q8_0.gguf", base_path(base)
    if path.exists():
        return path
    config = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "bert")
    _write_settings(writer, config)
    _write_vocabulary(writer, (source / "vocab.txt").read_text().split("\n")[:-1])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, tensor in load_file(source / "model.safetensors").items():
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is not None and "pooler" not in name:
            _write_tensor(writer, target, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_settings(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_name("base")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)  # noqa: FBT003 -- gguf's own signature
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def _write_vocabulary(writer: gguf.GGUFWriter, tokens: list[str]) -> None:
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list([_to_phantom(token) for token in tokens])
    writer.add_token_types([_type_of(token) for token in tokens])
    for role, token in SPECIAL_TOKENS.items():
        getattr(writer, f"add_{role}_token_id")(tokens.index(token))


def _to_phantom(token: str) -> str:
    """A word's first piece starts with a mark and the others have none: the reverse of BERT."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else WORD_START + token


def _type_of(token: str) -> int:
    is_special = token.startswith("[") and token.endswith("]") and len(token) > 2
    return int(gguf.TokenType.CONTROL if is_special else gguf.TokenType.NORMAL)


def _write_tensor(writer: gguf.GGUFWriter, name: str, tensor: np.ndarray[Any, Any]) -> None:
    """As llama.cpp does, positions, types, norms and biases stay float32."""
    is_matrix = tensor.ndim == 2 and not name.startswith(("position_embd", "token_types"))
    if not is_matrix:
        writer.add_tensor(name, tensor.astype(np.float32))
        return
    q8_0 = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, quantize(tensor.astype(np.float32), q8_0), raw_dtype=q8_0)
