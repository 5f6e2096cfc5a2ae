"""A job's settings in the engine's terms, checked against the base that will train. Computes
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from engine.families import FAMILIES
from engine.heads import HEADS, find_head, is_generation
from engine.heads.generate import GenerationHead
from engine.kind_settings import KIND_SETTINGS
from engine.port import EngineInfo, LossOptions, OpenTraining
from engine.text.windows import window_problem
from trainer.dataset.batches import num_batches
from trainer.errors import BadSetting
from trainer.heads import HEAD_DATA
from trainer.jobs.values import JobSpec
from trainer.readers.example import Example
from trainer.recipe.modules import check_modules, find_layers
from trainer.recipe.unfreezing import check_unfreezing
from trainer.settings.settings import TrainingSettings, plain_settings

#: heads whose targets are numbers rather than choices
_NUMBERS = ("regress", "embed")
#: kinds of two matrices, of which the second starts at zero and the first has no gradient before
#: the second step
_STARTS_AT_ZERO = ("lora", "bottleneck")
#: the kind without an adapter: worked examples before every input, and the base's own weights
PROMPT = "prompt"
#: settings that name modules, layers or sizes of the base, or follow from them
_OF_A_BASE = (
    "layers", "targets", "rank_pattern", "alpha_pattern", "feedforward", "reduction", "window",
    "stride", "unfreeze", "search",
)  # fmt: skip
#: settings that need training, whatever the kind
OF_TRAINING = ("learning_rate", "search", "learning_curve", "full_finetuning")


def check_recipe(spec: JobSpec, info: EngineInfo | None) -> None:
    """Checks at submit what would otherwise fail when the job runs; without `info`, the facts of a
    base, all that does not depend on one. Raises BadSetting.
    """
    heads = HEADS if info is None else info.poolings
    _one_of("head", spec.head, sorted({*heads} & {*HEAD_DATA}))
    if spec.kind == PROMPT:
        _check_prompt(spec, info)
        return
    kinds = {*KIND_SETTINGS} if info is None else {*info.kinds} & {*KIND_SETTINGS}
    _one_of("kind", spec.kind, sorted(kinds), PROMPT)
    _check_kind_settings(spec)
    poolings = HEADS[spec.head].poolings if info is None else info.poolings[spec.head]
    _one_of("pooling", spec.pooling or poolings[0], poolings)
    _check_loss(spec)
    _check_averaging(spec)
    _check_windows(spec, info)
    check_unfreezing(spec, info)
    if info is not None:
        _check_reduction(spec.settings.reduction, info.hidden_size)
        check_modules(spec.settings, info)


def unchecked_without_base(spec: JobSpec) -> list[str]:
    """What the caller chose that only the facts of a base can confirm."""
    chosen = [name for name in _OF_A_BASE if name in spec.chosen]
    fields = [name for name in ("pooling",) if spec.pooling]
    heads = ["head"] if is_generation(spec.head) else []
    return [*heads, *fields, *chosen]


def check_labels(spec: JobSpec, labels: list[str]) -> None:
    """Checks settings that depend on the data. Raises BadSetting."""
    weights = spec.settings.class_weights
    for name in weights if isinstance(weights, dict) else ():
        if name not in labels:
            raise BadSetting(
                f"class_weights names {name!r}, which is no label of the training file; the labels "
                f"are {', '.join(labels)}.",
                name="class_weights",
            )


def check_dev(spec: JobSpec, num_rows: int) -> None:
    """Raises BadSetting where a search has no dev rows to compare trials on."""
    if spec.settings.search is not None and not num_rows:
        raise BadSetting(
            "A search compares trials on dev rows, and there are none; raise dev_share or upload a "
            "dev file.",
            name="search",
        )


def check_steps(spec: JobSpec, num_rows: int) -> None:
    """Raises BadSetting where a part of the adapter would never get a gradient."""
    batch_rows = spec.settings.batch_rows
    epochs = spec.settings.epochs - spec.settings.unfreeze  # those that train all of it
    if spec.kind in _STARTS_AT_ZERO and epochs * num_batches(num_rows, batch_rows) < 2:
        raise BadSetting(
            f"epochs is {epochs} and batch_rows is {batch_rows}, which is one step on the "
            f"{num_rows} training rows; a {spec.kind} needs at least two. Raise epochs.",
            name="epochs",
        )


def pooling_of(spec: JobSpec, info: EngineInfo) -> str:
    """The pooling of the job, or the first in the head's order that the base supports."""
    return spec.pooling or info.poolings[spec.head][0]


def open_training(
    spec: JobSpec,
    head: dict[str, Any],
    info: EngineInfo,
    train: Sequence[Example],
    cache: str | None = None,
) -> OpenTraining:
    """`cache` names the rows' frozen activations, which all trainings of one job share."""
    settings = spec.settings
    return OpenTraining(
        kind=spec.kind,
        kind_config=kind_config(spec.kind, settings, info),
        head=find_head(head).check(head),
        seed=settings.seed,
        initial_seed=settings.initial_seed,
        dropout=settings.dropout,
        head_dropout=settings.head_dropout,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        cache=cache,
        head_learning_rate_scale=settings.head_learning_rate_scale,
        loss=LossOptions(
            label_smoothing=settings.label_smoothing,
            class_weights=class_weights(settings, head, train),
        ),
    )


def class_weights(
    settings: TrainingSettings, head: dict[str, Any], train: Sequence[Example]
) -> list[float]:
    """Weights in the order of the head's labels; empty where labels are unweighted.

    `balanced` gives every label the same total weight and rows a mean weight of 1. In a multi-label
    task the rows with a label weigh as much as the rows without it.
    """
    if settings.class_weights is None:
        return []
    if isinstance(settings.class_weights, dict):
        return [settings.class_weights.get(name, 1.0) for name in head["labels"]]
    labels = [row.label if isinstance(row.label, tuple) else (row.label,) for row in train]
    counts = Counter(label for row in labels for label in row)
    total, present = sum(counts.values()), [n for n in head["labels"] if counts[n]]
    if head.get("multi_label"):
        return [(len(train) - counts[n]) / counts[n] if counts[n] else 1.0 for n in head["labels"]]
    return [total / (len(present) * counts[n]) if counts[n] else 1.0 for n in head["labels"]]


def kind_config(kind: str, settings: TrainingSettings, info: EngineInfo) -> dict[str, Any]:
    """Only the settings that have a value: the kind completes the others, and refuses unknown ones.
    The share of the layers becomes their indices here.
    """
    chosen = {name: getattr(settings, name) for name in KIND_SETTINGS[kind].names()}
    if isinstance(chosen.get("layers"), str):
        chosen["layers"] = find_layers(settings, info)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in chosen.items()
        if value is not None
    }


def learning_rate(spec: JobSpec) -> float:
    """Raises BadSetting where nothing is trained."""
    if spec.kind == PROMPT:
        raise BadSetting(
            f"kind is {PROMPT}, which trains nothing and has no learning rate.", name="kind"
        )
    _one_of("kind", spec.kind, sorted(KIND_SETTINGS))
    return spec.settings.learning_rate or KIND_SETTINGS[spec.kind].default_learning_rate


def _one_of(name: str, value: str, choices: Sequence[str], *others: str) -> None:
    """`others` are values that only some jobs can have."""
    if value not in choices:
        known = [*choices, *others]
        near = get_close_matches(value, known, n=1)
        hint = f"; did you mean {near[0]}? It" if near else "; it"
        raise BadSetting(f"{name} is {value!r}{hint} must be one of {', '.join(known)}.", name=name)


def writes_after_prompts(info: EngineInfo) -> bool:
    """Whether the base can use worked examples before an input."""
    return FAMILIES[info.family].architecture == "decoder"


def _check_prompt(spec: JobSpec, info: EngineInfo | None) -> None:
    if not is_generation(spec.head) or not (info is None or writes_after_prompts(info)):
        base = f" and the base is of the type {FAMILIES[info.family].architecture}" if info else ""
        raise BadSetting(
            f"kind is {PROMPT}, which needs the head {GenerationHead.name} and a decoder; the head "
            f"is {spec.head}{base}.",
            name="kind",
        )
    for name in OF_TRAINING:
        if getattr(spec.settings, name):
            raise BadSetting(
                f"kind is {PROMPT}, which trains nothing and takes no {name}; remove {name}.",
                name=name,
            )


def _check_kind_settings(spec: JobSpec) -> None:
    """Refuses settings of other kinds, which would have no effect."""
    if spec.kind == "head_only" and HEADS[spec.head].bare:
        raise BadSetting(
            f"kind is head_only, and the head {spec.head} has no weights, so nothing would be "
            "trained; choose another kind.",
            name="kind",
        )
    if spec.settings.dora and spec.settings.lora_bias:
        raise BadSetting(
            "dora and lora_bias are both set, and cannot be combined; remove one of them.",
            name="lora_bias",
        )
    if spec.settings.feedforward and spec.settings.targets is None:
        names = ", ".join(map(repr, spec.settings.feedforward))
        raise BadSetting(
            f"feedforward names {names}, but targets is not set; set targets to all modules that "
            "ia3 adapts, including the feedforward ones.",
            name="feedforward",
        )
    own, plain = KIND_SETTINGS[spec.kind].names(), plain_settings(spec.settings)
    others = {name for kind in KIND_SETTINGS.values() for name in kind.names()} - set(own)
    for name in sorted(others):
        if getattr(spec.settings, name) != getattr(plain, name):
            raise BadSetting(
                f"{name} is no setting of the kind {spec.kind}, which has "
                f"{', '.join(own) or 'no settings'}.",
                name=name,
            )


def _check_loss(spec: JobSpec) -> None:
    settings = spec.settings
    labelled = [name for name, kind in HEADS.items() if "labels" in kind.settings]
    if settings.class_weights is not None and spec.head not in labelled:
        raise BadSetting(
            f"class_weights is only for the heads {', '.join(labelled)}; the head is {spec.head}.",
            name="class_weights",
        )
    if settings.label_smoothing and spec.head in _NUMBERS:
        raise BadSetting(
            f"label_smoothing is only for heads that predict labels or tokens; the head is "
            f"{spec.head}.",
            name="label_smoothing",
        )


def _check_averaging(spec: JobSpec) -> None:
    seeds = spec.settings.seeds
    if spec.settings.average_seeds and "average_seeds" in spec.chosen and seeds < 2:
        raise BadSetting(
            f"average_seeds is set and seeds is {seeds}; a mean needs at least two. Raise seeds.",
            name="average_seeds",
        )


def _check_windows(spec: JobSpec, info: EngineInfo | None) -> None:
    window, stride = spec.settings.window, spec.settings.stride
    problem = None
    if "window" in HEADS[spec.head].settings:
        # also checked with the longest possible row, of which the stride must leave room for text
        limits = (spec.settings.row_tokens, None if info is None else info.max_tokens)
        longest = min((limit for limit in limits if limit is not None), default=None)
        problem = window_problem(window, stride) or window_problem(longest, stride)
    elif window is not None or stride is not None:
        problem = f"a {spec.head} head reads no windows"
    if info is not None and window is not None and window > info.max_tokens:
        problem = f"window is {window}; the base reads at most {info.max_tokens} tokens"
    if problem:
        raise BadSetting(f"{problem}.", name="window")


def _check_reduction(reduction: int | None, hidden_size: int) -> None:
    if reduction is not None and reduction > hidden_size:
        raise BadSetting(
            f"reduction is {reduction}; it can be at most {hidden_size}, the base's hidden size.",
            name="reduction",
        )
