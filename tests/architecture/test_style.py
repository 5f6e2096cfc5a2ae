"""House style rules that a parser can hold."""

from __future__ import annotations

import ast

from tests.architecture.sources import functions, parse, relative, source_files


def test_every_module_says_what_it_owns() -> None:
    silent = [
        relative(path)
        for path in source_files()
        if parse(path).body and ast.get_docstring(parse(path)) is None
    ]
    assert silent == []


def test_every_function_is_fully_annotated() -> None:
    bare = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in source_files()
        for node in functions(path)
        if not _is_annotated(node)
    ]
    assert bare == []


#: the engine's child inherits its parent's environment, and silences the libraries it starts
PASSES_ENVIRONMENT_ON = {"engine/runtime/supervisor.py", "engine/__main__.py"}


def test_only_settings_modules_read_the_environment() -> None:
    readers = {relative(path) for path in source_files() if _reads_environment(parse(path))}
    assert readers - PASSES_ENVIRONMENT_ON <= {"adapterd/settings.py", "server/settings_sources.py"}


#: what a dataclass declares unless it is an exception
DATACLASS_OPTIONS = ("frozen", "slots", "kw_only")
STATE = "state of a running object, changed only by the module that owns it"
FAKE = "a fake keeps its state in fields that tests look at"
CACHED = "computes its digest once and keeps it, which slots do not allow"
PAIR = "a small pair or triple that its own module builds in one place"
#: dataclasses that lack one of the options, and why
DATACLASS_EXCEPTIONS = {
    "server/dispatch/entry.py Entry": STATE,
    "server/dispatch/sequence.py RunningSequence": STATE,
    "server/dispatch/slots.py _Slot": STATE,
    "trainer/pipeline/estimate.py _Watch": STATE,
    "trainer/training/checkpointing.py CheckpointCallback": STATE,
    "trainer/training/progress.py Progress": STATE,
    "trainer/training/progress.py _Run": STATE,
    "engine/adapter_formats/base_names.py _BaseName": PAIR,
    "engine/forward/prefix.py CachedRows": PAIR,
    "engine/forward/prefix_cache.py CachedLayer": STATE,
    "engine/generation/generate.py _RowOutput": STATE,
    "engine/generation/sequence.py SequenceState": STATE,
    "engine/kv_cache/encoder_decoder_cache.py Seq2SeqCache": STATE,
    "engine/testing/bag_generation.py _BagRow": FAKE,
    "engine/testing/bag_generation.py BagWriting": FAKE,
    "engine/testing/bag_model.py BagModel": FAKE,
    "engine/testing/bag_training.py BagTraining": FAKE,
    "engine/testing/fake_engine.py FakeEngine": FAKE,
    "adapters_registry/manifest.py Manifest": CACHED,
    "adapters_registry/storage/cache.py _Refs": STATE,
}


def test_every_dataclass_is_frozen_slotted_and_takes_keywords() -> None:
    """Values never change under their holder; `kw_only` keeps call sites readable as they grow."""
    loose = {
        f"{relative(path)} {node.name}"
        for path in source_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef) and _is_loose_dataclass(node)
    }
    assert loose == set(DATACLASS_EXCEPTIONS)


def _is_annotated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    named = [a for a in arguments if a.arg not in ("self", "cls")]
    return node.returns is not None and all(a.annotation is not None for a in named)


def _reads_environment(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        for node in ast.walk(tree)
    )


def _is_loose_dataclass(node: ast.ClassDef) -> bool:
    return any(
        ast.unparse(decorator).split("(")[0].split(".")[-1] == "dataclass"
        and not set(DATACLASS_OPTIONS) <= _enabled_options(decorator)
        for decorator in node.decorator_list
    )


def _enabled_options(decorator: ast.expr) -> set[str | None]:
    if not isinstance(decorator, ast.Call):
        return set()
    return {
        keyword.arg
        for keyword in decorator.keywords
        if isinstance(keyword.value, ast.Constant) and keyword.value.value is True
    }
