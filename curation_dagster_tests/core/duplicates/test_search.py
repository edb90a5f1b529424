"""The search is complete: it finds the pairs of brute force, no more and no fewer."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.duplicates.banded import banded, plan
from curation_dagster.core.duplicates.candidates import Costs, near_pairs, search
from curation_dagster.core.duplicates.scan import prefix_words, scan
from curation_dagster.core.duplicates.variants import INVERSE, VARIANTS, Hashes, distances
from curation_dagster_tests.core.duplicates.builders import BOUNDS, brute_force, clustered_bits, turned


def hashes(bits: np.ndarray) -> Hashes:
    return Hashes.of_bytes(np.packbits(bits, axis=1))


def as_set(pairs):
    found = list(
        zip(*(x.tolist() for x in (pairs.left, pairs.right, pairs.variant, pairs.distance)), strict=True)
    )
    assert len(found) == len(set(found))
    assert found == sorted(found)
    return set(found)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 90),
    radius=st.integers(0, 256),
    dihedral_radius=st.one_of(st.none(), st.integers(0, 256)),
)
def test_the_scan_finds_what_brute_force_finds(seed, n, radius, dihedral_radius):
    bits = clustered_bits(seed, n)
    assert as_set(scan(hashes(bits), None, radius, dihedral_radius)) == brute_force(
        bits, None, radius, dihedral_radius
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), radius=st.integers(0, 72), dihedral_radius=st.integers(0, 48))
def test_the_scan_of_one_set_against_another_finds_what_brute_force_finds(seed, radius, dihedral_radius):
    bits = clustered_bits(seed, 80)
    left, right = bits[::3], bits[1::2]
    found = scan(hashes(left), hashes(right), radius, dihedral_radius, workers=2)
    assert as_set(found) == brute_force(left, right, radius, dihedral_radius)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    radius=st.integers(0, 16),
    dihedral_radius=st.one_of(st.none(), st.integers(0, 6)),
    agreeing=st.integers(1, 2),
    apart=st.booleans(),
)
def test_the_banded_join_finds_what_brute_force_finds(seed, radius, dihedral_radius, agreeing, apart):
    bits = clustered_bits(seed, 60, flips=(0.0, 0.02, 0.05, 0.08))
    left, right = (bits[:40], bits[20:]) if apart else (bits, None)
    plans = tuple(
        None
        if r is None
        else plan(1, 1, r, 0, 0)
        if r + agreeing < 4
        else type(plan(1, 1, 4, 0, 0))(r + agreeing, agreeing, 0)
        for r in (radius, dihedral_radius)
    )
    found = banded(hashes(left), None if right is None else hashes(right), radius, dihedral_radius, plans)
    assert as_set(found) == brute_force(left, right, radius, dihedral_radius)


def test_many_blocks_and_workers_give_the_same_pairs():
    bits = clustered_bits(7, 2500)
    one = scan(hashes(bits), None, 64, 40, workers=1)
    assert len(one) > 500
    assert as_set(scan(hashes(bits), None, 64, 40, workers=3)) == as_set(one)
    assert as_set(scan(hashes(bits[:300]), hashes(bits), 64, 40)) >= {p for p in as_set(one) if p[0] < 300}


def test_columns_beyond_one_block_are_searched():
    rng = np.random.default_rng(1)
    right = rng.integers(0, 2, (40_000, 256), dtype=np.uint8)
    left = right[[0, 16_383, 16_384, 39_999]].copy()
    left[:, :30] ^= 1
    found = scan(hashes(left), hashes(right), 40, None)
    assert as_set(found) == {(k, j, 0, 30) for k, j in enumerate((0, 16_383, 16_384, 39_999))}


def test_variants_of_hashes_are_isometries():
    bits = clustered_bits(3, 60)
    all_hashes = hashes(bits)
    for variant in VARIANTS:
        assert (all_hashes.variant(variant).words == hashes(turned(bits, variant)).words).all()
        back = all_hashes.variant(variant).variant(VARIANTS[INVERSE[variant.index]])
        assert (back.words == all_hashes.words).all()
        a, b = all_hashes.words[:, :30], all_hashes.words[:, 30:]
        inverse = VARIANTS[INVERSE[variant.index]]
        one_way = distances(Hashes(a).variant(variant).words, b)
        assert (one_way == distances(a, Hashes(b).variant(inverse).words)).all()


def test_variants_of_pictures_undo_each_other():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for variant in VARIANTS:
        inverse = VARIANTS[INVERSE[variant.index]]
        assert (inverse.picture(variant.picture(picture)) == picture).all()
    assert (VARIANTS[5].picture(picture) == np.rot90(picture, -1)).all()
    assert (VARIANTS[6].picture(picture) == np.rot90(picture)).all()
    assert [v.mirrored for v in VARIANTS] == [False, True, True, False, True, False, False, True]


@pytest.mark.parametrize(
    ("radius", "words"), [(0, 1), (12, 1), (31, 2), (40, 2), (64, 3), (72, 3), (100, 4), (256, 4)]
)
def test_a_part_of_the_words_rules_out_unrelated_pairs(radius, words):
    assert prefix_words(radius, 32.0, 4.0) == words


def test_the_cheaper_method_is_chosen(monkeypatch):
    calls = []
    module = "curation_dagster.core.duplicates.candidates"
    monkeypatch.setattr(f"{module}.scan", lambda *a: calls.append("scan"))
    monkeypatch.setattr(f"{module}.banded", lambda *a: calls.append("banded"))

    class Many(Hashes):
        def __len__(self) -> int:
            return 1_000_000

    many = Many(np.empty((4, 0), np.uint64))
    for radius, dihedral_radius in ((12, None), (64, None), (12, 8), (64, 40)):
        near_pairs(many, None, radius, dihedral_radius)
    near_pairs(many, None, 12, None, costs=Costs(join_row=1e9))
    assert calls == ["banded", "scan", "banded", "scan", "scan"]


def test_a_radius_too_large_for_bands_is_refused_by_name_and_scanned_by_choice():
    bits = clustered_bits(5, 20)
    with pytest.raises(
        ValueError, match="radius 256 and dihedral radius None need too many band combinations"
    ):
        near_pairs(hashes(bits), None, 256, None, method="banded")
    assert as_set(near_pairs(hashes(bits), None, 256, None)) == brute_force(bits, None, 256, None)


def images(bits: np.ndarray, **columns) -> pa.Table:
    n = len(bits)
    table = {
        "image_id": [f"i{k:04d}" for k in range(n)],
        "sha256": [f"file{k}" for k in range(n)],
        "stream_sha256": [f"stream{k}" for k in range(n)],
        "pixel_sha256": [f"pixels{k}" for k in range(n)],
        "phash256": [row.tobytes() for row in np.packbits(bits, axis=1)],
        "hash_is_degenerate": [False] * n,
        "decode_state": ["ok"] * n,
    } | columns
    types = {"phash256": pa.binary(), "hash_is_degenerate": pa.bool_()}
    return pa.table({k: pa.array(v, types.get(k, pa.string())) for k, v in table.items()})


def pairs_of(candidates: pa.Table) -> set[tuple[str, str, str]]:
    return {(r["a"], r["b"], r["kind"]) for r in candidates.to_pylist()}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_candidates_do_not_depend_on_the_order_of_rows(seed):
    bits = clustered_bits(seed, 40)
    table = images(bits, sha256=[f"file{k // 3}" for k in range(40)])
    shuffled = table.take(np.random.default_rng(seed).permutation(40))
    assert search(shuffled, None, BOUNDS).equals(search(table, None, BOUNDS))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.1, 0.9))
def test_an_incremental_search_gives_the_groups_of_a_search_from_scratch(seed, share):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 40, 50)
    table = images(
        clustered_bits(seed, 50)[pixels],
        pixel_sha256=[f"p{k}" for k in pixels],
        stream_sha256=[f"s{k}" for k in rng.integers(0, 80, 50)],
    )
    is_new = rng.random(50) < share
    new, known = table.filter(pa.array(is_new)), table.filter(pa.array(~is_new))
    first, second = search(known, None, BOUNDS), search(new, known, BOUNDS)
    assert connected(first, second) == connected(search(table, None, BOUNDS))
    fresh = set(new["image_id"].to_pylist())
    assert all(r["a"] in fresh or r["b"] in fresh for r in second.to_pylist())


def connected(*candidates: pa.Table) -> set[frozenset[str]]:
    """Return the groups that the candidates would form if all of them were duplicates."""
    group_of: dict[str, set[str]] = {}
    for row in (r for part in candidates for r in part.to_pylist()):
        merged = group_of.get(row["a"], {row["a"]}) | group_of.get(row["b"], {row["b"]})
        group_of |= dict.fromkeys(merged, merged)
    return {frozenset(g) for g in group_of.values()}


def test_equal_bytes_image_data_and_pixels_are_told_apart():
    table = images(
        clustered_bits(11, 8)[:4].repeat(2, axis=0)[:6],
        sha256=["f0", "f0", "f1", "f2", "f3", "f4"],
        stream_sha256=["s0", "s0", "s1", "s1", None, None],
        pixel_sha256=["p0", "p0", "p1", "p1", "p2", "p2"],
    )
    found = {p for p in pairs_of(search(table, None, BOUNDS)) if p[2] != "perceptual"}
    assert found == {
        ("i0000", "i0001", "same_file"),
        ("i0002", "i0003", "same_pixels"),
        ("i0004", "i0005", "same_pixels"),
    }


def test_missing_digests_link_nothing():
    bits = np.random.default_rng(2).integers(0, 2, (3, 256), dtype=np.uint8)
    nothing = [None] * 3
    assert search(images(bits, stream_sha256=nothing, pixel_sha256=nothing), None, BOUNDS).num_rows == 0


def test_copies_are_linked_to_one_and_not_each_to_each():
    bits = np.random.default_rng(4).integers(0, 2, (1, 256), dtype=np.uint8).repeat(500, axis=0)
    table = images(bits, pixel_sha256=["p"] * 500)
    found = search(table, None, BOUNDS)
    assert found.num_rows == 499
    assert set(found["a"].to_pylist()) == {"i0000"}


def test_degenerate_hashes_are_compared_by_bytes_only():
    black = np.zeros((3000, 256), np.uint8)
    table = images(
        black, hash_is_degenerate=[True] * 3000, sha256=["same", "same", *(f"f{k}" for k in range(2998))]
    )
    assert pairs_of(search(table, None, BOUNDS)) == {("i0000", "i0001", "same_file")}


def test_images_that_do_not_decode_are_compared_with_nothing():
    bits = np.zeros((4, 256), np.uint8)
    states = ["ok", "unreadable", "damaged", None]
    table = images(bits, decode_state=states, sha256=["f"] * 4, phash256=[b"\0" * 32, None, b"\0" * 32, None])
    assert search(table, None, BOUNDS).num_rows == 0


def test_repeated_ids_and_short_hashes_are_refused():
    table = images(clustered_bits(6, 4))
    with pytest.raises(ValueError, match="4 image_ids occur more than once, such as i0000"):
        search(table, table, BOUNDS)
    with pytest.raises(ValueError, match="phash256: expected 32 bytes"):
        search(images(clustered_bits(6, 2), phash256=[b"abc", b"\0" * 32]), None, BOUNDS)
    with pytest.raises(ValueError, match="1 rows have no image_id"):
        search(images(clustered_bits(6, 2), image_id=[None, "x"]), None, BOUNDS)


def test_nothing_in_gives_nothing():
    empty = images(np.empty((0, 256), np.uint8))
    assert search(empty, None, BOUNDS).num_rows == 0
    assert search(empty, images(clustered_bits(6, 4)), BOUNDS).num_rows == 0
