"""What the small twins share: a cast of lesions, their photographs, and one-hot tables.

A twin has the layout and the quirks of its archive, and few pictures; what a pipeline should make of each is in the
golden ledgers of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from curation_dagster.samples import encodings, skin
from curation_dagster.samples.delivery import Draw, generator, picture_seed
from curation_dagster.samples.skin import Modality, Picture

DERMOSCOPIC = (600, 450)
SITES = (
    "anterior torso", "lower extremity", "head/neck", "upper extremity", "posterior torso", "palms/soles",
    "lateral torso", "oral/genital",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One lesion of one person, as a publisher might describe it; ``kind`` is what is drawn."""

    number: int
    kind: str
    age: int
    sex: str
    site: str

    @property
    def last(self) -> bool:
        """True for every ninth case, whose particulars are blank."""
        return self.number % 9 == 8


def cases(archive: str, images: int, seed: int, kinds: Sequence[str]) -> tuple[Case, ...]:
    """Return ``images`` cases; the kinds come in turn, so that a small twin has them all."""
    rng = generator(seed, archive)
    return tuple(
        Case(
            n,
            kinds[n % len(kinds)],
            int(rng.integers(4, 18)) * 5,
            ("male", "female")[n % 2],
            SITES[n % len(SITES)],
        )
        for n in range(images)
    )


def photograph(
    archive: str,
    seed: int,
    case: Case,
    make: Callable[[Picture], bytes] = encodings.jpeg,
    size: tuple[int, int] = DERMOSCOPIC,
    view: Modality = "dermoscopic",
    again: int = 0,
) -> Draw:
    """Return what draws the file of a case: its photograph, or the ``again``-th further one of the same lesion."""
    return partial(_draw, picture_seed(seed, archive, case.number), case, make, size, view, again)


def _draw(
    seed: int, case: Case, make: Callable[[Picture], bytes], size: tuple[int, int], view: Modality, again: int
) -> bytes:
    picture = skin.lesion(seed, size, 1 + case.number % 4, view, case.kind)
    return make(skin.retake(picture, seed + again) if again else picture)


def one_hot(labels: Sequence[str], marked: str | None, whole: bool = False) -> dict[str, str]:
    """Return the cells of one row of ground truth: ``1.0`` for the marked label, ``0.0`` for the others."""
    one, zero = ("1", "0") if whole else ("1.0", "0.0")
    return {label: one if label == marked else zero for label in labels}
