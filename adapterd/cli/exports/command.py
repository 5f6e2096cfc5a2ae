"""`adapterd adapters export`: fetches versions and writes them in the layout that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapterd.cli.connect import connect
from adapterd.cli.data_file import read_data_path, read_texts
from adapterd.cli.options import Json, ProfileName, Url
from adapterd.errors import BadSetting

if TYPE_CHECKING:
    from adapterd.cli.exports.parity import Parity
    from adapterd.client.client import Client


class Layout(StrEnum):
    """What an export is for."""

    PEFT = "peft"
    TAR = "tar"
    VLLM = "vllm"
    MERGED = "merged"
    ONNX = "onnx"


def export(
    refs: Annotated[
        list[str],
        typer.Argument(
            metavar="REF…", help="Tasks, versions or aliases; several only for tar and vllm."
        ),
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Created if it does not exist.")],
    layout: Annotated[
        Layout,
        typer.Option(
            "--as",
            help="peft: the files as they are; tar: an archive of them; vllm: a directory that "
            "vLLM serves; merged, onnx: a model of its own that needs no adapterd.",
        ),
    ] = Layout.PEFT,
    base: Annotated[
        str, typer.Option(help="The base's name where the export is used; default: the server's.")
    ] = "",
    mounted_at: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Where vLLM sees DIR, in a container for example; default: where it is here.",
        ),
    ] = "",
    texts_file: Annotated[
        Path | None,
        typer.Option(
            parser=read_data_path,
            metavar="FILE",
            help="File with one text per line, with which merged and onnx are compared with the "
            "server; default: eight short texts.",
        ),
    ] = None,
    url: Url = None,
    profile: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Write versions for other programs, in PEFT's layout if PEFT supports the adapter kind."""
    if len(refs) > 1 and layout not in (Layout.TAR, Layout.VLLM):
        raise BadSetting(f"--as {layout} writes one version; {len(refs)} are named.")
    if mounted_at and (layout is not Layout.VLLM or not mounted_at.startswith("/")):
        raise BadSetting(f"--mounted-at is an absolute path, for --as vllm; it is {mounted_at}.")
    if len(set(refs)) < len(refs):
        raise BadSetting("A ref is named twice.")
    with connect(url, profile) as client:
        match layout:
            case Layout.PEFT:
                written = Written(paths=client.export(refs[0], directory))
            case Layout.TAR:
                written = _write_tars(client, refs, directory)
            case Layout.VLLM:
                written = _write_vllm(client, refs, directory, base, mounted_at)
            case _:
                texts = read_texts(texts_file) if texts_file else None
                is_onnx = layout is Layout.ONNX
                written = _write_model(client, refs[0], directory, base, texts, is_onnx)
    _print_written(refs, directory, written, as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files, what to know of them, and for a model how near it is to the server."""

    paths: Sequence[Path]
    notes: Sequence[str] = ()
    parity: Parity | None = None


def _print_written(refs: Sequence[str], directory: Path, written: Written, as_json: bool) -> None:
    from adapterd.terminal import render

    if as_json:
        named = {"ref": refs[0]} if len(refs) == 1 else {"refs": refs}
        parity = {"parity": written.parity.to_dict()} if written.parity else {}
        files = [str(path) for path in written.paths]
        render.print_json({**named, "files": files, "notes": written.notes, **parity})
        return
    if written.parity is not None:
        _print_parity(written.parity)
    for note in written.notes:
        render.print_line(note)
    names = ", ".join(str(path.relative_to(directory)) for path in written.paths)
    render.print_line(f"exported {', '.join(refs)} to {directory}: {names}")


def _print_parity(parity: Parity) -> None:
    from adapterd.terminal import render

    rows = [[row.text, row.num_numbers, f"{row.largest:.1e}"] for row in parity.texts]
    render.print_table("Parity with the server", ["text", "logits", "difference"], rows, ["text"])
    render.print_line(f"largest difference {parity.largest:.1e}, limit {parity.limit:g}")


def _write_model(
    client: Client,
    ref: str,
    directory: Path,
    base: str,
    texts: Sequence[str] | None,
    is_onnx: bool,
) -> Written:
    from adapterd.cli.exports.converted_layout import TEXTS, write_converted

    converted = write_converted(client, ref, directory, base, texts or TEXTS, as_onnx=is_onnx)
    return Written(
        paths=converted.paths, notes=[f"load it with {converted.loader}"], parity=converted.parity
    )


def _write_tars(client: Client, refs: Sequence[str], directory: Path) -> Written:
    from adapterd.cli.exports.fetched_version import fetch_version
    from adapterd.cli.exports.tar_layout import write_tar

    paths = []
    for ref in refs:
        with fetch_version(client, ref) as fetched:
            paths.append(write_tar(fetched, directory))
    return Written(paths=paths)


def _write_vllm(
    client: Client, refs: Sequence[str], directory: Path, base: str, mounted_at: str
) -> Written:
    """Nothing unless vLLM can serve all of them."""
    from contextlib import ExitStack
    from pathlib import PurePosixPath

    from adapterd.cli.exports import vllm_layout
    from adapterd.cli.exports.fetched_version import fetch_version

    name = base or str(client.info()["base"])
    if name.startswith("package:"):
        raise BadSetting(
            f"The server's base is {name}, which vLLM cannot load; pass --base with the name that "
            "vLLM has for it."
        )
    mount = PurePosixPath(mounted_at) if mounted_at else None
    with ExitStack() as stack:
        fetched = [stack.enter_context(fetch_version(client, ref)) for ref in refs]
        for version in fetched:
            vllm_layout.check_servable(version)
        folders = [vllm_layout.add_adapter(version, directory, name) for version in fetched]
        notes = [note for version in fetched for note in vllm_layout.notes_of(version)]
        files = vllm_layout.write_arguments(folders, directory, name, mount)
    return Written(paths=[*folders, *files], notes=notes)
