"""Settings: unknown names and absurd values are refused in words; the document lists them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from engine.kind_settings import KIND_SETTINGS
from engine.testing.fake_base import fake_info
from trainer.errors import BadSetting
from trainer.jobs.stored_job import spec_of
from trainer.jobs.values import JobSpec
from trainer.recipe.recipe import check_recipe, kind_config
from trainer.settings.sentences import bounds
from trainer.settings.settings import TrainingSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"


def test_numbers_as_a_protobuf_struct_sends_them_are_read() -> None:
    settings = TrainingSettings.parse({"epochs": 5.0, "layers": [1.0], "learning_rate": 1})
    assert (settings.epochs, settings.layers, settings.learning_rate) == (5, (1,), 1.0)
    assert isinstance(settings.epochs, int)


def test_an_unknown_setting_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        BadSetting, match="no setting 'lr'; there are: epochs, batch_rows"
    ) as caught:
        TrainingSettings.parse({"lr": 1})
    assert caught.value.name == "lr"


def test_a_misspelt_setting_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(BadSetting, match=r"no setting 'epoch'; did you mean epochs\? There are: "):
        TrainingSettings.parse({"epoch": 3})


def test_an_unknown_name_is_refused_before_a_bad_value() -> None:
    with pytest.raises(BadSetting, match="no setting 'lr'"):
        TrainingSettings.parse({"epochs": 0, "lr": 1})


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0; it must be between 1 and 200."),
        ({"alpha": 5000}, "alpha is 5000; it must be between 0.001 and 4096."),
        ({"epochs": True}, "epochs must be a finite number, not True."),
        (
            {"rank_pattern": {"query": 0}},
            "rank_pattern of query is 0; it must be between 1 and 256.",
        ),
        ({"class_weights": {"ham": 0}}, "class_weights of ham is 0; it must be above 0."),
        ({"search": {"trials": 1}}, "search.trials is 1; it must be between 2 and 200."),
        (
            {"layers": []},
            "layers must be all, half, a number of layers or a list of layer indices, not [].",
        ),
        ({"preset": "best"}, "preset is 'best'; it must be one of fast, balanced, thorough."),
        ({"targets": []}, "targets must be a list with at least one entry, not []."),
        ({"bias": "some"}, "bias is 'some'; it must be one of none, lora_only, all."),
    ],
)
def test_a_refusal_names_the_setting_its_value_and_what_it_may_be(
    raw: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        TrainingSettings.parse(raw)
    assert str(caught.value) == sentence


@pytest.mark.survival("F2")
@pytest.mark.parametrize(
    "raw",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": True},
        {"epochs": "3"},
        {"rank": 10**9},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"learning_rate": 0},
        {"learning_rate": 10**400},
        {"epochs": 10**400},
        {"dropout": 1.0},
        {"dropout": None},
        {"targets": []},
        {"targets": "query"},
        {"targets": [1]},
        {"layers": ["a"]},
        {"layers": 1e308},
        {"layers": -1e308},
        {"layers": [1e308]},
        {"layers": 2**63},
        {"rslora": 1},
        {"rank_pattern": {}},
        {"rank_pattern": ["query"]},
        {"rank_pattern": {"query": 2.5}},
        {"rank_pattern": {"query": 0}},
        {"rank_pattern": {"query": 10**6}},
        {"alpha_pattern": {"query": "many"}},
        {"alpha_pattern": {"query": float("inf")}},
        {"lora_bias": "all"},
        {"bias": "some"},
        {"bias": True},
        {"scaling": 0},
        {"feedforward": "lin2"},
        {"activation": "sine"},
        {"test_share": 0},
        {"batch_rows": 10**7},
        {"max_tokens": -1},
    ],
)
def test_an_absurd_value_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(BadSetting) as caught:
        TrainingSettings.parse(raw)
    assert caught.value.name == next(iter(raw))


def test_patterns_come_as_objects_of_names_and_numbers() -> None:
    settings = TrainingSettings.parse(
        {"rank_pattern": {"query": 4.0}, "alpha_pattern": {"key": 6}, "feedforward": []}
    )
    assert (settings.rank_pattern, settings.alpha_pattern) == ({"query": 4}, {"key": 6.0})
    assert settings.feedforward == ()
    with pytest.raises(BadSetting, match=r"rank_pattern of query is 300; .* between 1 and 256"):
        TrainingSettings.parse({"rank_pattern": {"query": 300}})


def test_a_job_with_patterns_is_read_back_as_it_was_stored() -> None:
    settings = TrainingSettings(rank_pattern={"query": 4}, bias="all", feedforward=())
    spec = JobSpec(tenant="t", task="t", file_id="f", settings=settings)
    assert spec_of(json.loads(json.dumps(spec.to_json())), spec.tenant) == spec


def test_a_kind_is_told_only_what_was_chosen() -> None:
    info = fake_info()
    assert kind_config("lora", TrainingSettings(), info) == {
        "rank": 8, "rslora": False, "dora": False, "lora_bias": False, "layers": [0, 1],
    }  # fmt: skip
    chosen = TrainingSettings(targets=("query",), layers=(0, 1))
    assert kind_config("lora", chosen, info)["targets"] == ["query"]
    assert kind_config("bottleneck", chosen, info) == {"layers": [0, 1]}
    assert kind_config("ia3", TrainingSettings(feedforward=()), info)["feedforward"] == []
    assert kind_config("head_only", TrainingSettings(), info) == {}


@pytest.mark.parametrize(
    ("given", "settings", "sentence"),
    [
        ({"head": "poem"}, {}, "classify, embed, generate, regress, rerank, span, tag"),
        ({"kind": "magic"}, {}, "bias, bottleneck, head_only, ia3, lora"),
        (
            {"kind": "ia3"},
            {"rank": 4},
            "rank is no setting of the kind ia3, which has targets, feedforward",
        ),
        (
            {"kind": "head_only"},
            {"layers": 1},
            "layers is no setting of the kind head_only, which has no settings",
        ),
        ({"kind": "head_only", "head": "embed"}, {}, "nothing would be trained"),
        ({"kind": "lora"}, {"variant": "pfeiffer"}, "variant is no setting of the kind lora"),
        ({"pooling": "max"}, {}, "native, mean, cls, last"),
        ({"head": "tag", "pooling": "mean"}, {}, "must be one of native"),
        ({"head": "tag"}, {"window": 256}, "window is 256; the base reads at most 128"),
        ({"head": "tag"}, {"window": 32, "stride": 31}, "share a stride of 31"),
        ({"head": "tag"}, {"stride": 61}, "windows of 128 tokens cannot share a stride of 61"),
        ({"head": "tag"}, {"max_tokens": 16, "stride": 5}, "windows of 16 tokens cannot share"),
        ({"head": "span"}, {"max_tokens": 8}, "window is 8; it must be a whole number of at least"),
        ({}, {"window": 32}, "a classify head reads no windows"),
        (
            {"head": "span"},
            {"class_weights": "balanced"},
            "class_weights is only for the heads classify, tag",
        ),
        (
            {"head": "regress"},
            {"label_smoothing": 0.1},
            "label_smoothing is only for heads that predict labels",
        ),
        ({}, {"targets": ("nothing",)}, "matches no linear layer of the base"),
        ({}, {"layers": (2,)}, "layers 0 to 1"),
        ({}, {"layers": 3}, "has 2 layers"),
        (
            {},
            {"targets": ("layer.0.attention.self.query",), "layers": "half"},
            "no module of the adapted layers; layers is half",
        ),
        (
            {},
            {
                "targets": ("layer.0.attention.self.query", "layer.1.attention.self.query"),
                "layers": 1,
            },
            "which matches no module of the adapted layers; layers is 1",
        ),
        ({}, {"dora": True, "lora_bias": True}, "dora and lora_bias are both set"),
        (
            {},
            {"rank_pattern": {"nothing": 4}},
            "rank_pattern names 'nothing', which is no adapted module .* such as encoder.layer.0",
        ),
        (
            {},
            {"alpha_pattern": {"layer.0.attention.self.query": 4}, "layers": "half"},
            "which is no adapted module",
        ),
        ({"kind": "bottleneck"}, {"reduction": 300}, "reduction is 300; it can be at most 256"),
        ({"kind": "ia3"}, {"feedforward": ("query",)}, "but targets is not set"),
        (
            {"kind": "ia3"},
            {"feedforward": ("key",), "targets": ("query",)},
            "feedforward names 'key', .* such as encoder.layer.0.attention.self.query",
        ),
        (
            {"kind": "bias"},
            {"bias": "all"},
            "bias is no setting of the kind bias, which has targets, layers",
        ),
        ({"kind": "ia3"}, {"scaling": 2.0}, "scaling is no setting of the kind ia3"),
    ],
)
def test_what_the_base_does_not_have_is_refused_before_the_queue(
    given: dict[str, Any], settings: dict[str, Any], sentence: str
) -> None:
    spec = JobSpec(
        tenant="t", task="t", file_id="f", settings=TrainingSettings(**settings), **given
    )
    with pytest.raises(BadSetting, match=sentence):
        check_recipe(spec, fake_info())


def test_the_document_lists_every_setting_with_its_default_and_its_text() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    fields = TrainingSettings.model_fields
    assert rows[-len(fields) :] == [table_row(name, field) for name, field in fields.items()]


def test_a_pattern_that_names_an_adapted_module_is_taken() -> None:
    settings = TrainingSettings(rank_pattern={"query": 2}, alpha_pattern={"self.query": 3.0})
    check_recipe(JobSpec(tenant="t", task="t", file_id="f", settings=settings), fake_info())


def table_row(name: str, field: FieldInfo) -> str:
    limits = bounds(field)
    span = f"{limits[0]:g} to {limits[1]:g}" if limits else ""
    words = {"None": "none", "False": "false"}  # by name: 0 equals False
    default = words.get(str(field.default), field.default)
    return f"| `{name}` | {default} | {span} | {field.description} |"


ODD = [
    None, True, "", "x", "\0", "\ud800", [], {}, [None], {"a": None}, {"": []}, -1, 2**63, 10**400,
    float("nan"), float("inf"), [2**63], {"a": 2**63}, [[]], {"a": {"low": 1}},
]  # fmt: skip


@pytest.mark.survival("F2")
@pytest.mark.parametrize("name", TrainingSettings.model_fields)
def test_a_setting_is_read_or_refused_by_its_name_whatever_it_is(name: str) -> None:
    for value in ODD:
        try:
            settings = TrainingSettings.parse({name: value})
        except BadSetting as refused:
            error = refused
        else:
            assert TrainingSettings.parse(json.loads(json.dumps(settings_json(settings))))
            continue
        assert error.name == name


def settings_json(settings: TrainingSettings) -> dict[str, Any]:
    spec = JobSpec(tenant="t", task="t", file_id="f", settings=settings).to_json()
    found: dict[str, Any] = spec["settings"]
    return found


@pytest.mark.parametrize("value", [None, [], {}, 1, True])
@pytest.mark.parametrize("name", ["schedule", "bias", "variant", "activation"])
def test_a_word_is_a_word(name: str, value: Any) -> None:
    if value is None and name != "schedule":
        assert getattr(TrainingSettings.parse({name: None}), name) is None
        return
    with pytest.raises(BadSetting, match=f"{name} is .* it must be one of"):
        TrainingSettings.parse({name: value})


def test_the_settings_of_every_kind_are_inherited_from_its_declaration() -> None:
    for declared in KIND_SETTINGS.values():
        assert issubclass(TrainingSettings, declared)
