"""`adapterd check`, in this process and by a server."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.client.test_command_line import Run, run

__all__ = ["run"]


@pytest.fixture
def typos(tmp_path: Path) -> Path:
    rows = [{"text": f"text {i} of {i}", "label": ["glad", "sad"][i % 2]} for i in range(80)]
    rows += [{"text": f"x{i}", "label": "gald"} for i in range(3)]
    path = tmp_path / "typos.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("where", [(), ("--server",)])
def test_findings_are_a_table_for_people(run: Run, typos: Path, where: tuple[str, ...]) -> None:
    ran = run("check", typos, "--head", "classify", *where)
    assert ran.code == 0, ran.err
    for word in (
        "label_typo",
        "warning",
        "'glad'",
        "line 81: x0",
        "Ready to train: `lora`",
    ):
        assert word in ran.out


@pytest.mark.parametrize("where", [(), ("--server",)])
def test_a_file_that_training_refuses_ends_with_1(
    run: Run, tmp_path: Path, where: tuple[str, ...]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,b\n")
    ran = run("check", path, "--head", "classify", "--json", *where)
    assert ran.code == 1
    found = json.loads(ran.out)
    assert found["ok"] is False
    assert [each["code"] for each in found["findings"]][:1] == ["too_few_rows"]


def test_the_server_keeps_nothing_that_was_only_looked_at(run: Run, typos: Path) -> None:
    from adapterd.settings import ClientSettings

    url = ClientSettings.load().url
    before = httpx.get(f"{url}/v1/files", trust_env=False).json()["data"]
    run("check", typos, "--head", "classify", "--server")
    assert httpx.get(f"{url}/v1/files", trust_env=False).json()["data"] == before


def test_the_server_also_knows_its_tokenizer(run: Run, typos: Path) -> None:
    assert "row_tokens" in run("check", typos, "--head", "classify", "--server").out
    assert "row_tokens" not in run("check", typos, "--head", "classify").out


def test_an_unknown_head_is_a_mistake_of_usage(run: Run, typos: Path) -> None:
    ran = run("check", typos, "--head", "guess")
    assert (ran.code, "head is 'guess'" in ran.err) == (2, True)
