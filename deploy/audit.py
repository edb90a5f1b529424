"""Looks for known vulnerabilities of everything in requirements.lock: ``make audit``.

Exit codes: 0, nothing is known, or nobody could be asked, which is printed with the reason and written to
``var/audit.json``; 1, something is known; 2, nobody could be asked and ``AUDIT_REQUIRED=1`` says that this is a failure.

An index that serves packages need not serve advisories: pip-audit then skips every package and reports that it found
nothing. So a version with a known vulnerability is asked about first. Only if it is reported, the rest is believed.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
# jinja2 2.10 lets templates out of their sandbox (PYSEC-2019-217); the advisory is from 2019
CANARY = "jinja2==2.10"


def ask(requirements: Path) -> tuple[dict[str, Any] | None, str]:
    """Return what pip-audit reports, or None and why it could not report."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        str(requirements),
        "--no-deps",
        "--disable-pip",
    ]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "30"],
        capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    try:
        return json.loads(done.stdout), ""
    except json.JSONDecodeError:
        return None, (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]


def known(report: dict[str, Any]) -> list[dict[str, str]]:
    """Return package, version, id and fix of each vulnerability in a report."""
    return [
        {
            "package": p["name"],
            "version": p["version"],
            "id": v["id"],
            "fixed_in": ", ".join(v["fix_versions"]),
        }
        for p in report["dependencies"]
        for v in p.get("vulns", [])
    ]


def reason_not_to_believe() -> str:
    """Return why the service can't be believed, or an empty text."""
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary.txt"
        canary.write_text(CANARY + "\n")
        report, problem = ask(canary)
    if report is None:
        return f"the vulnerability service can't be reached ({problem})"
    if not known(report):
        skipped = next(
            (p["skip_reason"] for p in report["dependencies"] if "skip_reason" in p), "it said nothing"
        )
        return f"the index serves no advisories: of {CANARY}, which has one, {skipped}"
    return ""


def audit() -> dict[str, Any]:
    """Return the result, as it is written to ``var/audit.json``."""
    result: dict[str, Any] = {"asked_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    if reason := reason_not_to_believe():
        return result | {"audited": False, "reason": reason}
    report, problem = ask(ROOT / "requirements.lock")
    if report is None:
        return result | {"audited": False, "reason": problem}
    today = datetime.datetime.now(datetime.UTC).date()
    accepted = {
        a["id"]
        for a in yaml.safe_load((ROOT / "deploy/audit_accepted.yaml").read_text())
        if a["until"] > today
    }
    found = known(report)
    skipped = [f"{p['name']}: {p['skip_reason']}" for p in report["dependencies"] if "skip_reason" in p]
    return result | {
        "audited": True,
        "packages": len(report["dependencies"]),
        "skipped": skipped,
        "found": [v for v in found if v["id"] not in accepted],
        "accepted": [v for v in found if v["id"] in accepted],
    }


def main() -> int:
    """Audit, say what came of it, and return the exit code."""
    result = audit()
    target = Path(os.environ.get("CURATION_HOME") or ROOT / "var") / "audit.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    if not result["audited"]:
        print(
            f"NOT AUDITED: {result['reason']}. Written to {target}; audit where the service is reachable before a release."
        )
        return 2 if os.environ.get("AUDIT_REQUIRED") == "1" else 0
    for line in result["skipped"]:
        print(f"skipped: {line}")
    for v in result["found"]:
        print(f"{v['package']} {v['version']}: {v['id']}, fixed in {v['fixed_in'] or 'no version yet'}")
    print(
        f"{result['packages']} packages, {len(result['found'])} vulnerabilities, {len(result['accepted'])} accepted"
    )
    return 1 if result["found"] or result["skipped"] else 0


if __name__ == "__main__":
    sys.exit(main())
