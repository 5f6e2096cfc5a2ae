"""What a job must be to be queued: every check that needs no step of the engine."""

from __future__ import annotations

from adapters_registry.ref import check_name
from engine.port import EngineInfo
from engine.tokenizer import Tokenizer
from trainer.files import FileStore
from trainer.prepare import Prepared, prepare
from trainer.recipe import check_dev, check_labels, check_recipe, check_steps
from trainer.search_space import candidates
from trainer.values import JobSpec


def admitted(spec: JobSpec, files: FileStore, info: EngineInfo, tokenizer: Tokenizer) -> Prepared:
    """Raises BadName, BadSetting, BadDataset or UnknownFile."""
    check_name(spec.task)
    for each in candidates(spec, info):
        check_recipe(each, info)
    prepared = prepare(files, spec, tokenizer)
    check_labels(prepared.spec, prepared.labels)
    check_dev(prepared.spec, len(prepared.split.dev))
    for each in candidates(prepared.spec, info):
        check_recipe(each, info)
        check_steps(each, len(prepared.split.train))
    return prepared
