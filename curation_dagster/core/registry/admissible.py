"""How many of the images that archives officially state could be admitted by licence alone, each counted once.

Nothing is measured here: the publishers' own numbers are held against the licence gate. A number that no publisher
states is not guessed, so that all totals are lower bounds. Archives that hold the same photographs are in
``vocabularies/overlaps.yaml``; an image that two of them hold counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from curation_dagster.core.registry.licences import licence
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.registry.problems import DescriptorError

VOCABULARY = Path(__file__).parents[2] / "vocabularies" / "overlaps.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Overlap(_Strict):
    """Images of the first archive that are in the second as well; an upper bound unless ``exact``."""

    archives: tuple[str, str]
    images: int = Field(ge=1)
    exact: bool
    source: str


class _Target(_Strict):
    images: int = Field(ge=1)
    source: str


class Overlaps(_Strict):
    """The file of overlaps, with the number of images that the protocol aims at."""

    version: str
    target: _Target
    overlaps: tuple[Overlap, ...]


@dataclass(frozen=True)
class Line:
    """One archive: images by what the licence gate says of them.

    Parameters
    ----------
    archive : str
        Identifier.
    stated : int or None
        Images that the publisher states; None where none does.
    admitted, refused, unclear, unknown : int
        Parts of ``stated``: all three uses are permitted; one is forbidden; the terms don't say; each record states its
        own licence, and the shares are not known.
    new : int
        Those of ``admitted`` that no archive before it in the count holds.
    photographs : bool
        False where all images are of a modality that the protocol does not admit, such as tiles.
    terms : str
        Licence ids.
    """

    archive: str
    stated: int | None
    admitted: int
    refused: int
    unclear: int
    unknown: int
    new: int
    photographs: bool
    terms: str


@dataclass(frozen=True)
class Step:
    """One archive whose licence would have to be granted, the images that it adds, and the sum with it."""

    archive: str
    adds: int
    total: int


@dataclass(frozen=True)
class Admissible:
    """The count: lines by archive, the sums, and what is lacking.

    Parameters
    ----------
    lines : tuple of Line
        The most admitted images first.
    total, of_photographs : int
        Images that are admissible by licence, each once; of them those of dermoscopic or clinical photographs.
    target : int
        What the protocol aims at.
    steps : tuple of Step
        Beginning at ``of_photographs``: the largest refused archives, until the target is passed. Empty if it is.
    not_stated, per_record : tuple of str
        Archives without a stated number; archives whose records each state a licence, in unknown shares.
    """

    lines: tuple[Line, ...]
    total: int
    of_photographs: int
    target: int
    steps: tuple[Step, ...]
    not_stated: tuple[str, ...]
    per_record: tuple[str, ...]

    @property
    def passes_by_licence(self) -> bool:
        """Whether the licences alone would let more than the target pass."""
        return self.total > self.target

    @property
    def passes_with_photographs(self) -> bool:
        """Whether dermoscopic and clinical photographs alone do."""
        return self.of_photographs > self.target


@lru_cache(maxsize=1)
def overlaps() -> Overlaps:
    """Return the packaged overlaps.

    Raises
    ------
    DescriptorError
        If the file breaks its format.
    """
    try:
        return Overlaps.model_validate(yaml.safe_load(VOCABULARY.read_text(encoding="utf-8")))
    except (ValueError, yaml.YAMLError) as error:
        raise DescriptorError(f"vocabularies/{VOCABULARY.name}: {error}") from error


def admissible(descriptors: Iterable[Descriptor], known: Overlaps | None = None) -> Admissible:
    """Count the stated images of all archives that the licence gate of ``device`` could admit.

    Where archives overlap, the one with the most admissible images counts first, and of each further one only what
    lies beyond the overlaps with those before it; an overlap that is an upper bound makes the sum a lower one.
    """
    known = known or overlaps()
    shared = _shared(known.overlaps)
    lines = sorted((_line(d) for d in descriptors), key=lambda line: (-line.admitted, line.archive))
    counted = _counted(lines, shared)
    of_photographs = sum(line.new for line in counted if line.photographs)
    refused = [line for line in counted if line.photographs and line.refused + line.unclear + line.unknown]
    return Admissible(
        lines=tuple(counted),
        total=sum(line.new for line in counted),
        of_photographs=of_photographs,
        target=known.target.images,
        steps=_steps(counted, refused, shared, of_photographs, known.target.images),
        not_stated=tuple(line.archive for line in counted if line.stated is None),
        per_record=tuple(line.archive for line in counted if line.unknown),
    )


def _line(descriptor: Descriptor) -> Line:
    terms, stated = descriptor.licence, descriptor.technical_file.sample_size.images
    parts = {"admitted": 0, "refused": 0, "unclear": 0, "unknown": 0}
    shares = dict(terms.images) if terms.images else ({} if terms.column else {terms.default: stated or 0})
    for id, images in shares.items():
        permits = licence(id).permits_all
        parts["admitted" if permits else "unclear" if permits is None else "refused"] += images
    parts["unknown"] = max((stated or 0) - sum(parts.values()), 0)
    ids = sorted(set(shares) or {terms.default, *terms.values.values()})
    photographs = descriptor.columns.modality.constant != "other"
    return Line(descriptor.id, stated, **parts, new=0, photographs=photographs, terms=", ".join(ids))


def _shared(found: Sequence[Overlap]) -> Mapping[frozenset[str], int]:
    return {frozenset(o.archives): o.images for o in found}


def _beyond(images: int, archive: str, before: Iterable[str], shared: Mapping[frozenset[str], int]) -> int:
    """Return how many images of an archive no archive before it can hold, at least."""
    return max(images - sum(shared.get(frozenset((archive, b)), 0) for b in before), 0)


def _counted(lines: Sequence[Line], shared: Mapping[frozenset[str], int]) -> list[Line]:
    before: list[str] = []
    counted = []
    for line in lines:
        new = _beyond(line.admitted, line.archive, before, shared)
        counted.append(Line(**{**vars(line), "new": new}))
        if line.admitted:
            before.append(line.archive)
    return counted


def _steps(
    counted: Sequence[Line],
    refused: Sequence[Line],
    shared: Mapping[frozenset[str], int],
    total: int,
    target: int,
) -> tuple[Step, ...]:
    before = [line.archive for line in counted if line.admitted]
    left = {line.archive: line.refused + line.unclear + line.unknown for line in refused}
    steps: list[Step] = []
    while total <= target and left:
        gains = {a: _beyond(images, a, before, shared) for a, images in left.items()}
        best = max(sorted(gains), key=lambda a: gains[a])
        if gains[best] == 0:
            break
        total += gains[best]
        steps.append(Step(best, gains[best], total))
        before.append(best)
        del left[best]
    return tuple(steps)


def as_markdown(found: Admissible) -> str:
    """Return the count as text with a table, for the terminal and for ``docs/archives.md``."""
    rows = ["| archive | stated | by licence | of these new | refused | unclear | unknown | licence |"]
    rows.append("|---|--:|--:|--:|--:|--:|--:|---|")
    for line in found.lines:
        stated = "not stated" if line.stated is None else f"{line.stated:,}"
        tiles = "" if line.photographs else " (no photographs)"
        rows.append(
            f"| `{line.archive}`{tiles} | {stated} | {line.admitted:,} | {line.new:,} | {line.refused:,} | "
            f"{line.unclear:,} | {line.unknown:,} | {line.terms} |"
        )
    return "\n".join([*rows, "", *_sentences(found)])


def _sentences(found: Admissible) -> list[str]:
    verb = "passes" if found.passes_by_licence else "does not pass"
    text = [
        f"By licence alone at least **{found.total:,}** distinct images are admissible, which {verb} {found.target:,}.",
        f"Of these **{found.of_photographs:,}** are dermoscopic or clinical photographs, the modalities that the protocol "
        "admits; the others are of no use to it whatever their licence.",
    ]
    if found.passes_with_photographs:
        text.append(f"Photographs alone pass {found.target:,}.")
    else:
        missing = found.target - found.of_photographs + 1
        text.append(
            f"To pass {found.target:,} with photographs, {missing:,} more are needed. The fewest agreements:"
        )
        text += [
            "",
            *(
                f"{n}. `{s.archive}`: {s.adds:,} more, {s.total:,} in all"
                for n, s in enumerate(found.steps, 1)
            ),
            "",
        ]
    if found.per_record or found.not_stated:
        text.append(
            "Not in the count, because no number is stated: "
            + ", ".join(f"`{a}`" for a in dict.fromkeys((*found.per_record, *found.not_stated)))
            + ". Images of the ISIC Archive under CC0 and CC BY would add to it, as an export tells image by image."
        )
    return text
