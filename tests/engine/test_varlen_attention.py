"""Attention of all rows in one launch is attention by runs of one length."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.ops.packed_attention import PackedAttention
from engine.ops.row_lengths import RowLengths
from engine.ops.varlen_attention import VarlenAttention, is_supported
from tests.engine.varlen_oracle import LoopedVarlen

LENGTHS = [5, 1, 3, 3, 9, 1, 1]
#: causal, window, heads of keys, scaling
VIEWS = list(product([False, True], [None, 1, 3, 20], [4, 2, 1], [None, 0.7]))
BY_RUNS = PackedAttention(VarlenAttention(takes=lambda query: False))


def rows_on(device: str) -> RowLengths:
    starts = [sum(LENGTHS[:i]) for i in range(len(LENGTHS) + 1)]
    return RowLengths.of(LENGTHS, torch.tensor(starts, dtype=torch.int32, device=device))


def tensors(num_keys: int, seed: int = 0, width: int = 8, **options: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(1, heads, sum(LENGTHS), width, generator=generator)
        .to(**options)
        .requires_grad_(seed > 0)
        for heads in (4, num_keys, num_keys)
    ]


def attend(
    attention: PackedAttention,
    inputs: list[Tensor],
    causal: bool,
    window: int | None,
    scaling: float | None,
) -> Tensor:
    module: Any = SimpleNamespace(is_causal=causal)
    rows = rows_on(str(inputs[0].device))
    return attention(
        module, *inputs, None, row_lengths=rows, scaling=scaling, sliding_window=window
    )[0]


@pytest.mark.parametrize(("causal", "window", "num_keys", "scaling"), VIEWS)
def test_one_launch_answers_what_runs_answer(
    causal: bool, window: int | None, num_keys: int, scaling: float | None
) -> None:
    kernel = LoopedVarlen()
    at_once = PackedAttention(VarlenAttention(kernel, takes=lambda query: True))
    inputs = tensors(num_keys)
    ours = attend(at_once, inputs, causal, window, scaling)
    torch.testing.assert_close(ours, attend(BY_RUNS, inputs, causal, window, scaling))
    assert kernel.num_calls == 1


@pytest.mark.parametrize(("causal", "window", "num_keys", "scaling"), VIEWS[::3])
def test_one_launch_has_the_gradients_of_runs(
    causal: bool, window: int | None, num_keys: int, scaling: float | None
) -> None:
    at_once = PackedAttention(VarlenAttention(LoopedVarlen(), takes=lambda query: True))
    for ours, theirs in zip(
        gradients(at_once, causal, window, num_keys, scaling),
        gradients(BY_RUNS, causal, window, num_keys, scaling),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def gradients(
    attention: PackedAttention,
    causal: bool,
    window: int | None,
    num_keys: int,
    scaling: float | None,
    **options: Any,
) -> list[Tensor]:
    inputs = tensors(num_keys, seed=1, **options)
    answer = attend(attention, inputs, causal, window, scaling)
    weights = torch.linspace(-1, 1, answer.numel()).view(answer.shape).to(answer)
    return list(torch.autograd.grad((answer * weights).sum(), inputs))


def test_tensors_of_a_processor_are_not_for_the_kernel() -> None:
    assert not is_supported(torch.zeros(1, 4, 3, 8, dtype=torch.bfloat16))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("causal", "window", "num_keys", "scaling"), VIEWS)
def test_the_kernel_of_a_device_answers_what_runs_answer(
    causal: bool, window: int | None, num_keys: int, scaling: float | None
) -> None:
    at_once = PackedAttention(VarlenAttention())
    inputs = tensors(num_keys, width=64, device="cuda", dtype=torch.bfloat16)
    assert is_supported(inputs[0])
    ours = attend(at_once, inputs, causal, window, scaling)
    theirs = attend(BY_RUNS, [x.float() for x in inputs], causal, window, scaling)
    torch.testing.assert_close(ours.float(), theirs, atol=2e-2, rtol=2e-2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("causal", "window", "num_keys", "scaling"), VIEWS[::3])
def test_the_kernel_of_a_device_has_the_gradients_of_runs(
    causal: bool, window: int | None, num_keys: int, scaling: float | None
) -> None:
    at_once = PackedAttention(VarlenAttention())
    view = (causal, window, num_keys, scaling)
    ours = gradients(at_once, *view, width=64, device="cuda", dtype=torch.bfloat16)
    theirs = gradients(BY_RUNS, *view, width=64, device="cuda", dtype=torch.float32)
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.float(), other, atol=5e-2, rtol=5e-2)
