"""What goes into a release besides tables and images: criteria, vocabularies, descriptors, licence texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curation_dagster.core.criteria.loading import PACKAGED as CRITERIA
from curation_dagster.core.criteria.loading import text_of
from curation_dagster.core.registry.licences import VOCABULARY
from curation_dagster.core.registry.loading import RegistryError
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.release.settings import PACKAGED as SPLITS
from curation_dagster.core.release.view import ReleaseView, as_json
from curation_dagster.workspace import Workspace

VOCABULARIES = VOCABULARY.parent
TEXTS = VOCABULARIES / "licence_texts"


class InputMissing(RuntimeError):
    """Something that a release must hold is not there."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


def descriptors_of(workspace: Workspace, view: ReleaseView) -> dict[str, Descriptor]:
    """Return the descriptor of every archive that entered, by its id; those that do not stand are left out."""
    entered = {
        (r["archive"], r["version"]) for r in view.read("admissions", ["archive", "version"]).to_pylist()
    }
    found: dict[str, Descriptor] = {}
    for archive, version in sorted(entered):
        try:
            found[archive] = workspace.resolve(f"{archive}@{version}").descriptor
        except RegistryError:
            continue
    return found


def inputs_of(workspace: Workspace, view: ReleaseView) -> dict[str, bytes]:
    """Return path in the bundle to bytes: criteria, settings, vocabularies, descriptors, licence texts.

    Raises
    ------
    InputMissing
        If an image of the release is under a licence whose text is not there.
    """
    own = workspace.settings.home / "splits.yaml"
    files = {
        f"criteria/{view.criteria.name}.yaml": text_of(workspace.settings.criteria),
        "criteria/protocol.yaml": (CRITERIA / "protocol.yaml").read_bytes(),
        "criteria/splits.yaml": (own if own.exists() else SPLITS).read_bytes(),
    }
    for path in sorted(p for p in VOCABULARIES.iterdir() if p.is_file()):
        files[f"vocabularies/{path.name}"] = path.read_bytes()
    for archive, descriptor in view.descriptors.items():
        files[f"archives/{archive}.json"] = as_json(descriptor.model_dump(mode="json", by_alias=True))
    absent = []
    for licence in sorted(set(view.images["licence"].to_pylist())):
        text = text_of_licence(licence, workspace.settings.home / "licences")
        if text is None:
            absent.append(
                f"the text of the licence {licence} is not there: put it into "
                f"{workspace.settings.home / 'licences' / (licence + '.txt')} as its publisher gives it"
            )
        else:
            files[f"licences/{licence}.txt"] = text
    if absent:
        raise InputMissing(absent)
    return files


def text_of_licence(licence: str, own: Path) -> bytes | None:
    """Return the text of a licence, from the installation's own folder or the packaged texts of SPDX; None if neither."""
    for folder in (own, TEXTS):
        path = folder / f"{licence}.txt"
        if path.is_file():
            return path.read_bytes()
    return None
