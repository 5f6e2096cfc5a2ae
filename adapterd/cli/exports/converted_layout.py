"""One version as a model of its own: merged weights or an ONNX graph, written by the platform's
engine on this machine, and kept only if it answers as the server does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from adapterd.cli.exports.fetched_version import MANIFEST, FetchedVersion, fetch_version, writing
from adapterd.cli.exports.parity import Parity, compare_answers
from adapterd.cli.platform_packages import require_platform
from adapterd.client.client import Client
from adapterd.errors import Refused
from adapterd.values import Completion, Question
from adapterd.values.result import to_json

#: of several lengths and kinds; the user's own are better
TEXTS = (
    "ok", "What a day!", "never again, the second one broke as well", "Order 4711 of 3 May 2024",
    "The delivery came a week late, and nobody answered the phone when I called about it.",
    "Is this the right queue?", "€ 12.50 für zwei Stück", "a b c d e f g h i j k l m n o p q r s t",
)  # fmt: skip
_PARTIAL, _CONTENT = ".adapterd-export-", "content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The files, what loads them, and how near they are to the server."""

    paths: list[Path]
    loader: str
    parity: Parity


def write_converted(
    client: Client, ref: str, directory: Path, base: str, texts: Sequence[str], *, as_onnx: bool
) -> Converted:
    """Raises Refused, with nothing in `directory`, where the answers differ."""
    require_platform()
    _check_free(directory)
    info = client.info()
    with fetch_version(client, ref) as fetched, _partial_of(directory) as partial:
        loader, exported = _convert(fetched, partial, base or info["base"], texts, as_onnx)
        served = _ask(client, fetched, texts)
        parity = compare_answers(texts, served, exported, info["dtype"])
        if not parity.holds:
            raise Refused(_sentence(fetched, parity))
        _publish(partial, directory)
    return Converted(paths=sorted(directory.iterdir()), loader=loader, parity=parity)


@contextmanager
def _partial_of(directory: Path) -> Iterator[Path]:
    """An empty folder beside the directory, or in it where it is there already: it may be the
    working directory, or a disk of its own. Nobody else's, and removed in any case.
    """
    where = directory if directory.exists() else directory.resolve().parent
    with writing(directory):
        where.mkdir(parents=True, exist_ok=True)
        holder = Path(mkdtemp(prefix=_PARTIAL, dir=where))
    try:
        # with the usual permissions, which those of `mkdtemp` are not
        partial = holder / _CONTENT
        with writing(directory):
            partial.mkdir()
        yield partial
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _publish(partial: Path, directory: Path) -> None:
    with writing(directory):
        if not directory.exists():
            partial.rename(directory)
            return
        for path in partial.iterdir():
            path.rename(directory / path.name)


def _convert(
    fetched: FetchedVersion, target: Path, base: str, texts: Sequence[str], as_onnx: bool
) -> tuple[str, list[Any]]:
    """What loads the files, and what they answer."""
    from engine.errors import EngineError
    from engine.exports.conversion import Conversion, check_form

    samples = [_sample(fetched, text, texts) for text in texts]
    try:
        check_form(fetched.version.head, as_onnx=as_onnx)
        conversion = Conversion(base, fetched.paths[0].parent)
        with writing(target):
            loader = conversion.write(target, as_onnx=as_onnx)
            return loader, conversion.answers(target, samples, as_onnx=as_onnx)
    except EngineError as error:
        raise Refused(f"{fetched.name} cannot be exported: {error}", problem=error.code) from error


def _ask(client: Client, fetched: FetchedVersion, texts: Sequence[str]) -> list[Any]:
    samples = [_sample(fetched, text, texts) for text in texts]
    if fetched.version.head == "generate":
        from engine.exports.conversion import NUM_TOKENS

        written = client.predict(
            fetched.name, list(texts), temperature=0.0, max_tokens=NUM_TOKENS, logprobs=1
        )
        return [_completion_answer(output) for output in written.outputs]
    is_question = _input_of(fetched) == "question"
    inputs = [Question(question=s[0], context=s[1]) if is_question else s for s in samples]
    return [to_json(o) for o in client.predict(fetched.name, inputs, raw_scores=True).outputs]


def _completion_answer(output: object) -> dict[str, Any]:
    assert isinstance(output, Completion), "a version that generates answers with completions"
    return {"text": output.text, "logprobs": [token.logprob for token in output.tokens]}


def _input_of(fetched: FetchedVersion) -> str:
    head = fetched.document(MANIFEST)["semantics"]["head"]
    return str(head.get("input", "text"))


def _sample(fetched: FetchedVersion, text: str, texts: Sequence[str]) -> Any:
    """The text, or where the version reads two, with the longest beside it."""
    return text if _input_of(fetched) == "text" else (text, max(texts, key=len))


def _check_free(directory: Path) -> None:
    """A directory that is there must be empty, of another export's work too."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Refused(f"{directory} is not an empty directory; name a new one")


def _sentence(fetched: FetchedVersion, parity: Parity) -> str:
    if not parity.num_numbers:
        return (
            f"{fetched.name} was not exported: no answer to the {len(parity.texts)} texts has a "
            "number to compare; pass texts that it finds something in with --texts-file"
        )
    worst = max(parity.texts, key=lambda row: (bool(row.other), row.largest))
    what = worst.other or f"a number differs by {worst.largest:.2g}, the limit is {parity.limit:g}"
    return (
        f"{fetched.name} was not exported: of the text {worst.text[:40]!r}, {what}. The server "
        "must run the same base as --base names"
    )
