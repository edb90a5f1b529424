"""Criteria files from disk: read, validated, and every problem reported at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from curation_dagster.core.criteria.columns import columns_of
from curation_dagster.core.criteria.models import CriteriaFile, CriteriaSet, Criterion
from curation_dagster.core.criteria.protocol import load_protocol
from curation_dagster.core.criteria.rules import PERSON_DECIDES, problems_of

PACKAGED = Path(__file__).parents[2] / "criteria"
"""Folder of the criteria files that come with the package."""


class CriteriaError(ValueError):
    """A criteria file can't be used.

    Parameters
    ----------
    problems : sequence of str
        Each with its breadcrumb, such as ``device.yaml > criteria > resolution > bound: minimum needs a number``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {p}" for p in self.problems)
        super().__init__(
            f"{len(self.problems)} problem(s) in the criteria; nothing is decided by them until they are mended:\n{lines}"
        )


def load_criteria(
    name_or_path: str | os.PathLike[str], directories: Iterable[str | os.PathLike[str]] = ()
) -> CriteriaSet:
    """Load a criteria file by its name or its path.

    Parameters
    ----------
    name_or_path : str or path
        ``device``, or the path of a file (it ends in .yaml or .yml, or has a folder in it).
    directories : iterable of str or path
        Folders that are searched for a name before the package's own.

    Returns
    -------
    CriteriaSet
        With the SHA-256 of the file's bytes as ``digest``.

    Raises
    ------
    CriteriaError
        With every problem of the file.
    """
    path = _find(name_or_path, directories)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CriteriaError([f"{path}: can't be read: {error.strerror or error}"]) from error
    try:
        # a SafeLoader that refuses doubled keys
        data = yaml.load(content, Loader=_UniqueKeys)  # noqa: S506
    except yaml.YAMLError as error:
        raise CriteriaError([f"{path.name}: not valid YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(data, dict):
        raise CriteriaError(
            [f"{path.name}: expected a mapping with name, version and criteria, got {type(data).__name__}"]
        )
    try:
        file = CriteriaFile.model_validate(data)
    except ValidationError as errors:
        found = (f"{path.name} > {_crumb(e['loc'], data)}: {_sentence(e)}" for e in errors.errors())
        raise CriteriaError(list(dict.fromkeys(found))) from None
    problems = [f"{path.name} > {p}" for p in _problems(file)]
    if problems:
        raise CriteriaError(problems)
    return CriteriaSet(**dict(file), digest=hashlib.sha256(content).hexdigest())


def text_of(name_or_path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a criteria file, those that its digest is of."""
    return _find(name_or_path, ()).read_bytes()


def available(directories: Iterable[str | os.PathLike[str]] = ()) -> list[str]:
    """Return the names that :func:`load_criteria` finds, sorted."""
    return sorted(
        {
            p.stem
            for d in (*directories, PACKAGED)
            for p in Path(d).glob("*.yaml")
            if p.stem not in ("protocol", "splits")
        }
    )


def _find(name_or_path: str | os.PathLike[str], directories: Iterable[str | os.PathLike[str]]) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return path
    searched = [Path(d) for d in (*directories, PACKAGED)]
    for folder in searched:
        if (folder / f"{path.name}.yaml").is_file():
            return folder / f"{path.name}.yaml"
    raise CriteriaError(
        [f"no criteria are called {path.name!r}: expected {path.name}.yaml in {', '.join(map(str, searched))}; "
         f"there are {', '.join(available(searched)) or 'none'}"]
    )  # fmt: skip


def _problems(file: CriteriaFile) -> list[str]:
    """Return what the types can't tell: doubled names, unknown rules and columns, clauses that nobody covers."""
    found = []
    for attribute in ("id", "check"):
        values = [getattr(c, attribute) for c in file.criteria]
        for value in sorted({v for v in values if values.count(v) > 1}):
            found.append(f"criteria > {value}: {values.count(value)} criteria have this {attribute}")
    clauses = load_protocol().clauses
    for criterion in file.criteria:
        found += [
            f"criteria > {criterion.id} > {where}: {what}" for where, what in _criterion_problems(criterion)
        ]
        if criterion.clause_id not in clauses:
            found.append(
                f"criteria > {criterion.id} > clause: the protocol has no clause {criterion.clause_id}"
            )
        elif criterion.clause != f"{criterion.clause_id} {clauses[criterion.clause_id].title}":
            found.append(
                f"criteria > {criterion.id} > clause: expected "
                f"'{criterion.clause_id} {clauses[criterion.clause_id].title}', got {criterion.clause!r}"
            )
    covered = {c.clause_id for c in file.criteria}
    for clause in clauses.values():
        if not clause.is_step and clause.id not in covered and clause.id not in file.waives:
            found.append(
                f"criteria: no criterion carries out {clause.id} {clause.title}; add one, or say why under waives"
            )
    found += [f"waives > {c}: the protocol has no clause {c}" for c in file.waives if c not in clauses]
    return found


def _criterion_problems(criterion: Criterion) -> list[tuple[str, str]]:
    known = columns_of(criterion.stage)
    found = problems_of(criterion, known)
    found += [
        ("detail_columns", f"the stage has no column {c!r}")
        for c in criterion.detail_columns
        if c not in known
    ]
    if criterion.by_modality and "modality" not in known:
        found.append(("bound", f"stage {criterion.stage} has no modality for a bound to depend on"))
    if criterion.rule == PERSON_DECIDES and criterion.on_fail != "review":
        found.append(
            ("on_fail", f"{PERSON_DECIDES} never passes by itself: expected review, got {criterion.on_fail}")
        )
    return found


def _crumb(place: tuple[int | str, ...], data: Any) -> str:
    """Return the breadcrumb of a pydantic error; a criterion goes by its id where it has one."""
    steps: list[str] = []
    here = data
    for step in place:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            here = None
        named = here.get("id") if isinstance(step, int) and isinstance(here, dict) else None
        steps.append(str(named or (step + 1 if isinstance(step, int) else step)))
        if step == "bound":
            break  # below it pydantic names the branches of a union, which are no places in the file
    return " > ".join(steps) or "file"


def _sentence(error: Any) -> str:
    shown = "" if isinstance(error["input"], dict | list) else f", got {error['input']!r}"
    if "bound" in error["loc"]:
        return "expected a number, a text, a list of texts, or a number per modality"
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "missing":
        return "required, but absent"
    return error["msg"].removeprefix("Value error, ") + shown


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, of which YAML silently keeps the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [
            self.construct_object(k, deep=True) for k, _ in node.value if k.tag != "tag:yaml.org,2002:merge"
        ]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)
