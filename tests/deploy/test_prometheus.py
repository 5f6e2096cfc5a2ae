"""The Prometheus files: valid to `promtool`, and about metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool comes with the system's prometheus package"
)


def _promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False
    )


@needs_promtool
def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    done = _promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_refuses_a_rule_that_does_not_parse(tmp_path: Path) -> None:
    """The check above can fail."""
    broken = (DEPLOY / "alerts.yml").read_text().replace("== 0", "== (", 1)
    (tmp_path / "alerts.yml").write_text(broken)
    assert _promtool("check", "rules", str(tmp_path / "alerts.yml")).returncode != 0


def test_alerts_are_about_documented_metrics() -> None:
    documented = (DEPLOY.parent / "docs" / "metrics.md").read_text()
    used = set(re.findall(r"adapterd_\w+", (DEPLOY / "alerts.yml").read_text()))
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert names
    assert {name for name in names if name not in documented} == set()
