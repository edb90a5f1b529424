"""From files to groups, with the hashes and thumbnails that the pipeline measures."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation_dagster.core.duplicates.bounds import DuplicateBounds
from curation_dagster.core.duplicates.candidates import search
from curation_dagster.core.duplicates.find import GROUPS, find_groups, find_links, groups_of, thumbnails_in
from curation_dagster.core.duplicates.keypoints import agreement, features, keypoint_method
from curation_dagster.core.duplicates.representatives import RepresentativeRule
from curation_dagster.core.duplicates.variants import VARIANTS, Hashes, distances
from curation_dagster.core.duplicates.verification import ThumbnailError, verify
from curation_dagster.schemas import DUPLICATES
from curation_dagster_tests.core.duplicates.builders import BOUNDS, ORDER, RANK, related
from curation_dagster_tests.core.duplicates.pictures import (
    TRANSFORMATIONS,
    brightened,
    crop,
    image_row,
    images_table,
    jpeg,
    lesion,
    png,
    scaled,
    watermarked,
    with_comment,
)

LESIONS = 16


def grouped(images: pa.Table, facts: pa.Table | None = None, bounds: DuplicateBounds = BOUNDS, **rest):
    table = find_groups(images, facts, bounds, ORDER, RANK, related, **rest)
    assert table.schema.equals(GROUPS)
    assert table["image_id"].equals(images["image_id"])
    return {r["image_id"]: r for r in table.to_pylist()}


def partition(rows) -> set[frozenset[str]]:
    groups = defaultdict(set)
    for image_id, row in rows.items():
        if row["group_id"] is not None:
            groups[row["group_id"]].add(image_id)
    return {frozenset(g) for g in groups.values()}


@pytest.fixture(scope="module")
def copies() -> pa.Table:
    """Every transformation of each lesion; ids are lesion/transformation."""
    rows = []
    for seed in range(LESIONS):
        picture = lesion(seed, vignette=seed % 3 == 0)
        rows.append(image_row(f"{seed:02d}/original", jpeg(picture)))
        rows += [image_row(f"{seed:02d}/{name}", change(picture)) for name, change in TRANSFORMATIONS.items()]
    return images_table(rows)


@pytest.fixture(scope="module")
def links_of_copies(copies: pa.Table) -> pa.Table:
    return find_links(copies, BOUNDS, thumbnails_in(copies), workers=2).links


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_transformed_copy_is_linked_to_its_original(copies, links_of_copies, name):
    """By itself, or as one of equal hash: of those only the first is compared with others."""
    hashes = dict(zip(copies["image_id"].to_pylist(), copies["phash256"].to_pylist(), strict=True))
    first: dict[bytes, str] = {}
    for image_id in sorted(hashes):
        first.setdefault(hashes[image_id], image_id)
    links = {(r["a"], r["b"]): r["kind"] for r in links_of_copies.to_pylist()}

    def kind(seed: int) -> str | None:
        pair = {first[hashes[f"{seed:02d}/original"]], first[hashes[f"{seed:02d}/{name}"]]}
        return "near" if len(pair) == 1 else links.get(tuple(sorted(pair)))

    kinds = Counter(kind(seed) for seed in range(LESIONS))
    assert kinds["near"] >= (0.95 if name == "crop 5 %" else 0.99) * LESIONS - 1e-9, kinds


def test_different_lesions_are_never_linked(links_of_copies):
    wrong = [(r["a"], r["b"], r["evidence"]) for r in links_of_copies.to_pylist() if r["a"][:2] != r["b"][:2]]
    assert wrong == []


def test_each_lesion_is_one_group(copies, links_of_copies):
    table = groups_of(copies, None, links_of_copies, RepresentativeRule(ORDER, RANK), related)
    rows = {r["image_id"]: r for r in table.to_pylist()}
    assert {frozenset(i[:2] for i in g) for g in partition(rows)} == {
        frozenset([f"{s:02d}"]) for s in range(LESIONS)
    }
    assert all(r["group_size"] == len(TRANSFORMATIONS) + 1 for r in rows.values())
    assert sum(r["is_representative"] for r in rows.values()) == LESIONS
    with_verdict = table.append_column("verdict", pa.array(["kept"] * table.num_rows))
    assert DUPLICATES.problems(DUPLICATES.conform(with_verdict)) == []


def test_links_do_not_depend_on_order_workers_or_what_was_known(copies):
    few = copies.filter(pc.less(pc.binary_length(copies["image_id"]), 12)).slice(0, 40)
    shuffled = few.take(np.random.default_rng(5).permutation(few.num_rows))
    read = thumbnails_in(few)
    whole = find_links(few, BOUNDS, read).links
    assert find_links(shuffled, BOUNDS, read, workers=3).links.equals(whole)
    state = None
    # images come, some leave, and all come back: each time the links of a search from scratch
    for part in (shuffled.slice(0, 25), shuffled.slice(0, 33), shuffled.slice(8, 32), shuffled):
        before = (None, None) if state is None else (
            pa.concat_tables([state.fresh, state.kept]), pa.concat_tables([state.fresh_ids, state.kept_ids])
        )  # fmt: skip
        state = find_links(part, BOUNDS, read, 1, *before)
        assert state.links.equals(find_links(part, BOUNDS, read).links)
    assert state.links.equals(whole)
    again = find_links(
        shuffled, BOUNDS, _nobody_reads, 1,
        pa.concat_tables([state.fresh, state.kept]), pa.concat_tables([state.fresh_ids, state.kept_ids]),
    )  # fmt: skip
    assert again.links.equals(whole)
    assert again.fresh.num_rows == again.fresh_ids.num_rows == 0


def _nobody_reads(image_ids):
    raise AssertionError(f"thumbnails of {image_ids} were read, though all pairs are known")


def test_lesions_that_look_alike_stay_apart_even_as_candidates():
    """Same skin, same camera, same dark corners, the same mark on the picture: other lesions."""
    table = images_table(
        image_row(f"{seed}", jpeg(watermarked(lesion(seed, vignette=True)))) for seed in range(14)
    )
    wide = DuplicateBounds(160, 0, 160, 20, 10, 0.99)
    assert search(table, None, wide).num_rows > 91
    assert verify(search(table, None, wide), thumbnails_in(table), wide).num_rows == 0


def test_a_common_logo_and_ruler_is_no_proof():
    import cv2

    def marked(seed: int) -> np.ndarray:
        picture = lesion(seed, vignette=True)
        for k in range(30):
            cv2.line(picture, (20 + k * 12, 10), (20 + k * 12, 30 if k % 5 else 45), (0, 0, 0), 2)
        cv2.putText(picture, "DERMATLAS", (15, 420), 0, 2, (255, 255, 255), 4)
        cv2.putText(picture, "Dept. of Dermatology 4711", (15, 440), 0, 0.7, (0, 0, 0), 2)
        return picture

    table = images_table(image_row(f"{seed:02d}", jpeg(marked(seed))) for seed in range(20))
    wide = DuplicateBounds(256, 0, 0, 20, 10, 0.999)
    found = verify(search(table, None, wide), thumbnails_in(table), wide).to_pylist()
    assert {r["kind"] for r in found} == {"uncertain"}
    assert any("as of a common logo or ruler" in r["evidence"] for r in found)
    assert [r for r in grouped(table, bounds=wide).values() if r["group_id"]] == []


def test_the_evidence_has_the_figures():
    picture = lesion(3)
    table = images_table(
        [
            image_row("a", jpeg(picture)),
            image_row("b", with_comment(jpeg(picture))),
            image_row("c", jpeg(picture, 60)),
            image_row("d", jpeg(np.rot90(picture))),
            image_row("e", jpeg(picture)),
        ]
    )
    rows = grouped(table)
    assert {k: r["relation"] for k, r in rows.items()} == {
        "a": "representative", "b": "same_pixels", "c": "near", "d": "near", "e": "same_file",
    }  # fmt: skip
    assert rows["b"]["evidence"] == "same pixels, other file"
    assert rows["e"]["evidence"] == "same bytes"
    assert rows["c"]["evidence"].endswith("of 256 bits differ, accepted up to 31")
    assert "one rotated by 90 degrees" in rows["d"]["evidence"]
    assert "accepted from 20" in rows["d"]["evidence"]
    assert rows["e"]["distance"] == 0


def test_a_chain_is_one_group_and_says_so():
    """Crops of crops: the ends are too far apart to be found alike, the middle is like both."""
    picture = lesion(8, 900, 700)
    steps = [crop(picture, share) for share in (0.0, 0.05, 0.1, 0.15)]
    table = images_table(image_row(f"{k}", jpeg(p)) for k, p in enumerate(steps))
    links = {(r["a"], r["b"]) for r in find_links(table, BOUNDS, thumbnails_in(table)).links.to_pylist()}
    assert ("0", "1") in links
    assert ("0", "3") not in links
    rows = grouped(table)
    assert partition(rows) == {frozenset("0123")}
    assert rows["0"]["is_representative"]
    assert "through" in rows["3"]["evidence"]
    assert rows["3"]["linked_to"] != "0"
    assert "links from the representative" in rows["3"]["evidence"]


def test_degenerate_pictures_are_duplicates_by_bytes_only():
    black, white = np.zeros((450, 600, 3), np.uint8), np.full((450, 600, 3), 255, np.uint8)
    table = images_table(
        [image_row(f"black{k}", jpeg(black, 50 + k)) for k in range(20)]
        + [image_row("white", png(white)), image_row("copy of black0", jpeg(black, 50))]
    )
    assert all(table["hash_is_degenerate"].to_pylist())
    # equal pixels are the same picture even if it shows nothing; only "near" means nothing here
    assert {r["relation"] for r in grouped(table).values()} <= {
        "single",
        "representative",
        "same_file",
        "same_pixels",
    }
    rows = grouped(
        table.set_column(table.schema.get_field_index("pixel_sha256"), "pixel_sha256", table["sha256"])
    )
    assert partition(rows) == {frozenset({"black0", "copy of black0"})}


def test_nothing_unreadable_is_a_duplicate():
    broken = jpeg(lesion(1))[:2000]
    table = images_table(
        [
            image_row("a", broken),
            image_row("b", broken),
            image_row("c", b"no image at all"),
            image_row("d", b""),
            image_row("e", b""),
            image_row("f", jpeg(lesion(1))),
        ]
    )
    rows = grouped(table)
    assert {k: r["relation"] for k, r in rows.items()} == dict.fromkeys("abcde", "unreadable") | {
        "f": "single"
    }
    assert all(r["group_id"] is None and r["is_representative"] for r in rows.values())


def test_uncertain_images_wait_and_representatives_name_who_may_be_theirs():
    bounds = DuplicateBounds(256, 31, 0, 20, 10, 0.999)
    first = lesion(2)
    # a quarter of one picture in another: some keypoints agree, too few or too little for a rule
    other = lesion(9)
    other[100:260, 180:390] = first[100:260, 180:390]
    table = images_table(
        [image_row("a", jpeg(first)), image_row("b", jpeg(first, 60)), image_row("c", jpeg(other))]
    )
    rows = grouped(table, bounds=bounds)
    assert partition(rows) == {frozenset("ab")}
    assert rows["c"]["relation"] == "uncertain"
    assert rows["c"]["group_id"] is None
    assert rows["c"]["linked_to"] in {"a", "b"}
    assert "a person decides" in rows["c"]["evidence"]
    assert set(rows["c"]["uncertain_with"]) <= {"a", "b"}
    representative = next(k for k in "ab" if rows[k]["is_representative"])
    assert rows[representative]["uncertain_with"] == ["c"]


def test_an_excluded_copy_displaces_none_that_may_enter():
    picture = lesion(4)
    table = images_table([image_row("large", jpeg(picture)), image_row("small", jpeg(scaled(picture, 0.5)))])
    assert grouped(table)["large"]["is_representative"]
    facts = pa.table({"image_id": ["large", "small"], "eligible": [False, True]})
    rows = grouped(table, facts)
    assert rows["small"]["is_representative"]
    assert rows["large"]["representative_id"] == "small"
    assert rows["large"]["reason"] == "eligible: may enter against may not enter of large"


def test_conflicting_labels_are_named_with_their_archives():
    picture = lesion(5)
    table = images_table(
        [
            image_row("a", jpeg(picture), archive="one", icd11_code="2C30"),
            image_row("b", jpeg(picture, 70), archive="two", icd11_code="2F20"),
            image_row("c", jpeg(lesion(6)), archive="two", icd11_code="2F20"),
        ]
    )
    rows = grouped(table)
    assert [rows[k]["label_conflict"] for k in "abc"] == [True, True, False]
    assert rows["a"]["labels"] == ["one:2C30", "two:2F20"]
    narrower = pa.table({"image_id": ["b"], "icd11_code": ["2C30.1"]})
    assert not grouped(table, narrower)["a"]["label_conflict"]


def test_thumbnails_are_read_for_doubtful_candidates_only():
    picture = lesion(7)
    table = images_table(
        [
            image_row("a", jpeg(picture)),
            image_row("b", jpeg(picture, 60)),
            image_row("c", jpeg(picture[:, ::-1])),
            image_row("d", jpeg(lesion(11))),
        ]
    )
    announced: list[str] = []
    asked: list[str] = []

    @contextlib.contextmanager
    def opened(ids: list[str]):
        announced.extend(ids)
        with thumbnails_in(table)(ids) as read:
            yield lambda wanted: asked.extend(wanted) or read(wanted)

    rows = grouped(table.drop_columns(["thumbnail_64", "thumbnail_256"]), thumbnails=opened)
    assert partition(rows) == {frozenset("abc")}
    assert (
        announced == sorted(asked) == ["a", "c"]
    )  # once each; b has the very hash of a, which is compared for both


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (None, "asked for 2 images, 1 are missing, such as b; measure the files again"),
        ({"thumbnail_256": b"no jpeg"}, "image b: thumbnail_256 is not a JPEG"),
        ({"thumbnail_64": b"short"}, "image b: expected 4096 bytes of thumbnail_64, got 5"),
    ],
)
def test_a_missing_or_broken_thumbnail_is_a_clear_error(row, message):
    picture = lesion(7)
    rows = [image_row("a", jpeg(picture)), image_row("b", jpeg(picture[:, ::-1]))]
    whole = images_table(rows)
    stored = images_table([rows[0], *([] if row is None else [rows[1] | row])])
    with pytest.raises(ThumbnailError, match=message):
        find_links(whole, BOUNDS, thumbnails_in(stored))


def test_a_missing_column_is_named():
    table = images_table([image_row("a", jpeg(lesion(1)))]).drop_columns(["phash256"])
    with pytest.raises(ValueError, match="columns phash256 are missing"):
        grouped(table)


def test_no_images_give_no_rows():
    assert grouped(images_table([])) == {}


def test_mirrored_hashes_are_near_those_of_mirrored_pictures():
    """The variants of a hash leave out that the median moves: few bits, far below the radius."""
    worst = 0
    for seed in range(8):
        picture = lesion(seed, vignette=seed % 2 == 0)
        made = image_row("x", png(picture))
        base = Hashes.of_bytes(np.frombuffer(made["phash256"], np.uint8)[None])
        for variant in VARIANTS[1:4]:
            turned = np.stack([variant.picture(picture[..., k]) for k in range(3)], axis=2)
            seen = Hashes.of_bytes(np.frombuffer(image_row("x", png(turned))["phash256"], np.uint8)[None])
            worst = max(worst, int(distances(base.variant(variant).words, seen.words)[0]))
    assert worst <= 24


def test_keypoints_do_not_depend_on_what_was_compared_before():
    method = keypoint_method()
    pictures = [np.ascontiguousarray(scaled(lesion(k), 0.4)[..., 0]) for k in range(4)]
    pictures.append(np.ascontiguousarray(brightened(scaled(lesion(0), 0.3), 1.1)[..., 0]))
    seen = [features(p, method) for p in pictures]
    one = [agreement(a, b, method) for a, b in itertools.combinations(seen, 2)]
    other = [agreement(a, b, method) for a, b in reversed(list(itertools.combinations(seen, 2)))]
    assert one == list(reversed(other))
    assert agreement(seen[0], seen[4], method).inliers >= 20
    flat = features(np.full((200, 256), 90, np.uint8), method)
    assert agreement(flat, seen[0], method).inliers == 0


def test_the_real_pictures_have_five_pairs_and_no_false_one(real_data):
    files = sorted((real_data / "isic_cc0").glob("[ab]/*.jpg"))
    assert len(files) == 15
    table = images_table(
        image_row(f"{p.parent.name}/{p.stem}", p.read_bytes(), archive=p.parent.name) for p in files
    )
    rows = grouped(table)
    pairs = {frozenset({f"a/ISIC_000000{k}", f"b/ISIC_000000{k}"}) for k in range(5)}
    assert partition(rows) == pairs
    assert Counter(r["relation"] for r in rows.values()) == {"single": 5, "representative": 5, "near": 5}
    # also with every pair of different lesions looked at, mirrored and rotated, none is linked
    wide = DuplicateBounds(256, 31, 256, 20, 10, 0.99)
    assert partition(grouped(table, bounds=wide)) == pairs
