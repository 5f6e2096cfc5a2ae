"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapterd.cli.data_file import read_data_source

# ---------------------------------------------------------------- of every command

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Address of the server; docs/command-line.md."),
]


def list_profiles() -> list[str]:
    """The names that a shell completes."""
    from adapterd.profiles import ProfileFile
    from adapterd.settings import profile_path

    return sorted(ProfileFile.read(profile_path()).profiles)


ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="Server stored with `adapterd login NAME`.",
        autocompletion=list_profiles,
    ),
]  # fmt: skip
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="Name of the task.")]
Ref = Annotated[
    str,
    typer.Argument(metavar="REF", help="A task, a version or an alias: task, task@7, task@alias."),
]
AliasName = Annotated[str, typer.Option("--alias", help="Alias of the task.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job, or the start of it.")]

# ---------------------------------------------------------------- training

Promote = Annotated[
    bool,
    typer.Option(
        "--promote", help="Point `production` to the new version; a first version always gets it."
    ),
]
Head = Annotated[
    str, typer.Option(help="Head: classify, tag, regress, span, embed, rerank or generate.")
]
TextColumn = Annotated[str, typer.Option(help="Column with the text.")]
TextPairColumn = Annotated[str, typer.Option(help="Column with the second text of a pair.")]
LabelColumn = Annotated[str, typer.Option(help="Column with the label.")]
SplitSeed = Annotated[int, typer.Option(help="Seed of the split into train, dev and test rows.")]
Kind = Annotated[
    str,
    typer.Option(
        help="Adapter kind: lora, bottleneck, ia3, bias, head_only or prompt; default: by rows."
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        help="How much training the version is worth: fast, balanced or thorough (docs/training.md)"
        "; default: balanced."
    ),
]
Pooling = Annotated[
    str, typer.Option(help="Pooling: native, cls, mean or last; default: the server's.")
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Training setting (docs/training.md); may be repeated.",
    ),
]
DevData = Annotated[
    Path | None,
    typer.Option(
        parser=read_data_source,
        metavar="FILE",
        help="Dev rows for model selection; default: split off the rows.",
    ),
]
TestData = Annotated[
    Path | None,
    typer.Option(
        parser=read_data_source,
        metavar="FILE",
        help="Test rows for the report; default: split off the rows.",
    ),
]

# ---------------------------------------------------------------- generation

MaxTokens = Annotated[
    int | None, typer.Option(help="Maximum number of generated tokens; default: the task's.")
]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature; default 0: greedy.")]
TopP = Annotated[
    float | None,
    typer.Option(help="Sample from the most likely tokens with this total probability."),
]
TopK = Annotated[int | None, typer.Option(help="Sample from this many of the most likely tokens.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the sampling, for reproducible texts.")]
Compose = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REF=WEIGHT",
        help="Adapter to use, weighted, instead of the task's own; may be repeated.",
    ),
]
Stop = Annotated[list[str] | None, typer.Option(help="String that ends the text; may be repeated.")]

# ---------------------------------------------------------------- server and worker

Device = Annotated[str | None, typer.Option(help="Device of the base: auto, cpu or cuda:N.")]
Dtype = Annotated[
    str | None, typer.Option(help="Precision of the base: auto, bfloat16 or float32.")
]
Threads = Annotated[int | None, typer.Option(help="Number of engine threads.")]
ConfigFile = Annotated[
    Path | None, typer.Option(help="Settings file; default: adapterd.toml if it exists.")
]
ServerSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other server setting; may be repeated."),
]
