"""The contract: its generated code is current, its style is kept, and no client of it breaks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.generated_code import stale_files
from tests.architecture.sources import ROOT

RELEASED = ROOT / "protos" / "released.binpb"


def buf(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("buf")
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def test_generated_protobuf_code_is_current() -> None:
    assert stale_files() == []


def test_the_contract_keeps_the_style_of_protobuf_files() -> None:
    done = buf("lint", ROOT / "protos")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_contract_breaks_no_client_of_the_released_one() -> None:
    done = buf("breaking", ROOT / "protos", "--against", RELEASED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("string digest = 3;", "string digest = 30;"),
        ("string digest = 3;", "bytes digest = 3;"),
        ("string digest = 3;", "string sha256 = 3;"),
        ("string digest = 3;", ""),
        ("rpc PredictMany(", "rpc PredictSeveral("),
    ],
)
def test_a_change_that_breaks_clients_is_found(tmp_path: Path, before: str, after: str) -> None:
    changed = tmp_path / "protos"
    shutil.copytree(ROOT / "protos", changed)
    proto = changed / "adapterd" / "v1" / "predictor.proto"
    text = proto.read_text(encoding="utf-8")
    assert before in text
    proto.write_text(text.replace(before, after), encoding="utf-8")
    done = buf("breaking", changed, "--against", RELEASED)
    assert done.returncode == 100
    assert "predictor.proto" in done.stdout
