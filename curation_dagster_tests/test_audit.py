"""`make audit` tells apart: nothing known, something known, and nobody who could be asked."""

from __future__ import annotations

import datetime
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
BAD = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}
SKIPPED = {
    "name": "jinja2",
    "skip_reason": "Dependency not found on PyPI and could not be audited: jinja2 (2.10)",
}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("CURATION_HOME", str(tmp_path))
    return module


def answers(audit: ModuleType, monkeypatch: pytest.MonkeyPatch, canary: Any, rest: Any) -> None:
    def ask(requirements: Path) -> tuple[Any, str]:
        found = canary if requirements.name == "canary.txt" else rest
        return (found, "") if isinstance(found, dict) else (None, found)

    monkeypatch.setattr(audit, "ask", ask)


@pytest.mark.parametrize(
    ("canary", "rest", "code", "says"),
    [
        ({"dependencies": [BAD]}, {"dependencies": [CLEAN]}, 0, "1 packages, 0 vulnerabilities"),
        ({"dependencies": [BAD]}, {"dependencies": [CLEAN, BAD]}, 1, "PYSEC-2019-217, fixed in 2.10.1"),
        ({"dependencies": [BAD]}, {"dependencies": [CLEAN, SKIPPED]}, 1, "skipped: jinja2"),
        (
            {"dependencies": [SKIPPED]},
            {"dependencies": [CLEAN]},
            0,
            "NOT AUDITED: the index serves no advisories",
        ),
        (
            "no route to host",
            {"dependencies": [CLEAN]},
            0,
            "NOT AUDITED: the vulnerability service can't be reached",
        ),
        ({"dependencies": [BAD]}, "it broke off", 0, "NOT AUDITED: it broke off"),
    ],
)
def test_what_comes_of_an_audit(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, canary: Any, rest: Any, code: int, says: str,
) -> None:  # fmt: skip
    answers(audit, monkeypatch, canary, rest)
    assert audit.main() == code
    said = capsys.readouterr().out
    assert says in said
    written = json.loads((tmp_path / "audit.json").read_text())
    assert written["audited"] is ("NOT AUDITED" not in said)
    monkeypatch.setenv("AUDIT_REQUIRED", "1")
    assert audit.main() == (2 if "NOT AUDITED" in said else code)


def test_an_accepted_vulnerability_is_accepted_until_its_day(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(audit, monkeypatch, {"dependencies": [BAD]}, {"dependencies": [BAD]})
    (tmp_path / "deploy").mkdir()
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    today = datetime.datetime.now(datetime.UTC).date()
    for days, code in ((1, 0), (0, 1), (-1, 1)):
        until = today + datetime.timedelta(days=days)
        accepted = f"- {{id: PYSEC-2019-217, why: no templates of others, until: {until}}}\n"
        (tmp_path / "deploy" / "audit_accepted.yaml").write_text(accepted)
        assert audit.main() == code
