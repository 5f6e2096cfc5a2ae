"""A job's settings in the engine's words, checked against the base that will train. Computes
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
from trainer.recipe.modules import check_modules, usual_layers
from trainer.recipe.unfreezing import check_unfreezing
from trainer.settings.settings import TrainingSettings

#: heads whose targets are numbers rather than choices
_NUMBERS = ("regress", "embed")
#: of two products in a row, the first gets a gradient only once the second has left zero
_STARTS_AT_ZERO = ("lora", "bottleneck")
#: no adapter: worked examples before every input, under the base's own weights
PROMPT = "prompt"
#: what says that something is to be trained, whatever the kind
OF_TRAINING = ("learning_rate", "search", "learning_curve", "full_finetuning")


def check_recipe(spec: JobSpec, info: EngineInfo) -> None:
    """What would only fail once the job runs, while its owner still waits. Raises BadSetting."""
    _one_of("head", spec.head, sorted(set(info.poolings) & set(HEAD_DATA)))
    if spec.kind == PROMPT:
        _check_prompt(spec, info)
        return
    _one_of("kind", spec.kind, sorted(set(info.kinds) & set(KIND_SETTINGS)))
    _check_kind_settings(spec)
    _one_of("pooling", pooling_of(spec, info), info.poolings[spec.head])
    _check_loss(spec)
    _check_windows(spec, info)
    _check_reduction(spec.settings.reduction, info.hidden_size)
    check_modules(spec.settings, info)
    check_unfreezing(spec, info)


def check_labels(spec: JobSpec, labels: list[str]) -> None:
    """What only the data can tell to be wrong. Raises BadSetting."""
    weights = spec.settings.class_weights
    for name in weights if isinstance(weights, dict) else ():
        if name not in labels:
            raise BadSetting(
                f"class_weights names {name!r}; the labels are {', '.join(labels)}.",
                name="class_weights",
            )


def check_dev(spec: JobSpec, num_rows: int) -> None:
    """Raises BadSetting where a search would have nothing to choose by."""
    if spec.settings.search is not None and not num_rows:
        raise BadSetting("A search chooses on dev rows, and there are none.", name="search")


def check_steps(spec: JobSpec, num_rows: int) -> None:
    """Raises BadSetting where a part of the adapter would get no gradient at all."""
    batch_rows = spec.settings.batch_rows
    epochs = spec.settings.epochs - spec.settings.unfreeze  # those that train all of it
    if spec.kind in _STARTS_AT_ZERO and epochs * num_batches(num_rows, batch_rows) < 2:
        raise BadSetting(
            f"epochs is {epochs} and batch_rows {batch_rows}, one step for the "
            f"{num_rows} training rows; a {spec.kind} learns in both its parts from the second on.",
            name="epochs",
        )


def pooling_of(spec: JobSpec, info: EngineInfo) -> str:
    """What was chosen, or the first in the head's order that the base can have."""
    return spec.pooling or info.poolings[spec.head][0]


def open_training(
    spec: JobSpec,
    head: dict[str, Any],
    info: EngineInfo,
    train: Sequence[Example],
    cache: str | None = None,
) -> OpenTraining:
    """`cache` names the rows' frozen activations for all trainings of one job."""
    settings = spec.settings
    return OpenTraining(
        kind=spec.kind,
        kind_config=kind_config(spec.kind, settings, usual_layers(info)),
        head=find_head(head).check(head),
        seed=settings.seed,
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
    """In the order of the head's labels; none where all count alike.

    Balanced: every label's rows weigh as much together as any other's, and the mean row weighs 1.
    A multi-label label's rows weigh as much as the rows without it.
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


def kind_config(kind: str, settings: TrainingSettings, usual: int | None) -> dict[str, Any]:
    """Only what was chosen: the kind completes the rest, and refuses what it does not know.

    Layers are the one choice made here.
    """
    chosen = {name: getattr(settings, name) for name in KIND_SETTINGS[kind].names()}
    if "layers" in chosen and chosen["layers"] is None:
        chosen["layers"] = usual
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in chosen.items()
        if value is not None
    }


def learning_rate(spec: JobSpec) -> float:
    """Raises BadSetting where nothing is trained."""
    if spec.kind == PROMPT:
        raise BadSetting(f"kind is {PROMPT}, which trains nothing and has no rate.", name="kind")
    _one_of("kind", spec.kind, sorted(KIND_SETTINGS))
    return spec.settings.learning_rate or KIND_SETTINGS[spec.kind].default_learning_rate


def _one_of(name: str, value: str, choices: list[str]) -> None:
    if value not in choices:
        raise BadSetting(f"{name} is {value!r}; it must be one of {', '.join(choices)}.", name=name)


def writes_after_prompts(info: EngineInfo) -> bool:
    """Whether worked examples before an input tell the base what to write."""
    return FAMILIES[info.family].architecture == "decoder"


def _check_prompt(spec: JobSpec, info: EngineInfo) -> None:
    if not is_generation(spec.head) or not writes_after_prompts(info):
        raise BadSetting(
            f"kind is {PROMPT}, for the head {GenerationHead.name} on a decoder; the head is "
            f"{spec.head} and the base a {FAMILIES[info.family].architecture}.",
            name="kind",
        )
    for name in OF_TRAINING:
        if getattr(spec.settings, name):
            raise BadSetting(f"kind is {PROMPT}, which trains nothing: no {name}.", name=name)


def _check_kind_settings(spec: JobSpec) -> None:
    """A setting of another kind would be without effect, and its owner would not know."""
    if spec.kind == "head_only" and HEADS[spec.head].bare:
        raise BadSetting(
            f"kind is head_only and the head {spec.head} has no weights: nothing would be trained.",
            name="kind",
        )
    if spec.settings.dora and spec.settings.lora_bias:
        raise BadSetting(
            "dora and lora_bias are both set; a product with learned magnitudes has no bias.",
            name="lora_bias",
        )
    own, plain = KIND_SETTINGS[spec.kind].names(), TrainingSettings()
    others = {name for kind in KIND_SETTINGS.values() for name in kind.names()} - set(own)
    for name in sorted(others):
        if getattr(spec.settings, name) != getattr(plain, name):
            raise BadSetting(
                f"{name} is no setting of {spec.kind}; it has {', '.join(own) or 'none'}.",
                name=name,
            )


def _check_loss(spec: JobSpec) -> None:
    settings = spec.settings
    labelled = [name for name, kind in HEADS.items() if "labels" in kind.settings]
    if settings.class_weights is not None and spec.head not in labelled:
        raise BadSetting(
            f"class_weights are for {', '.join(labelled)}; the head is {spec.head}.",
            name="class_weights",
        )
    if settings.label_smoothing and spec.head in _NUMBERS:
        raise BadSetting(
            f"label_smoothing is for heads that choose; the head is {spec.head}.",
            name="label_smoothing",
        )


def _check_windows(spec: JobSpec, info: EngineInfo) -> None:
    window, stride = spec.settings.window, spec.settings.stride
    problem = None
    if "window" in HEADS[spec.head].settings:
        # of rows as long as they will be: what a stride leaves of them must hold text
        longest = min(spec.settings.row_tokens or info.max_tokens, info.max_tokens)
        problem = window_problem(window, stride) or window_problem(longest, stride)
    elif window is not None or stride is not None:
        problem = f"a {spec.head} head reads no windows"
    if window is not None and window > info.max_tokens:
        problem = f"window is {window}; the base reads at most {info.max_tokens} tokens"
    if problem:
        raise BadSetting(f"{problem}.", name="window")


def _check_reduction(reduction: int | None, hidden_size: int) -> None:
    if reduction is not None and reduction > hidden_size:
        raise BadSetting(
            f"reduction is {reduction}; the base is {hidden_size} wide.", name="reduction"
        )
