"""The search is complete: it finds the pairs of brute force, no more and no fewer."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.duplicates.candidates import search
from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.slices import Costs, Slice, bands_of, near_pairs, run, slices
from curation_dagster.core.duplicates.variants import INVERSE, VARIANTS, Hashes, distances
from curation_dagster_tests.core.duplicates.builders import BOUNDS, brute_force, clustered_bits, turned


def hashes(bits: np.ndarray) -> Hashes:
    return Hashes.of_bytes(np.packbits(bits, axis=1))


SCAN = Costs(join_row=1e12)
BANDS = Costs(scan_pair=1e12, scan_pair_variants=1e12)
SORTED_TWICE = Costs(scan_pair=1e18, scan_pair_variants=1e18, join_pair=1e9)  # also in buckets of two


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
    apart=st.booleans(),
)
def test_the_scan_finds_what_brute_force_finds(seed, n, radius, dihedral_radius, apart):
    bits = clustered_bits(seed, n)
    left, right = (bits[::3], bits[1::2]) if apart else (bits, None)
    found = near_pairs(
        hashes(left), None if right is None else hashes(right), radius, dihedral_radius, costs=SCAN
    )
    assert as_set(found) == brute_force(left, right, radius, dihedral_radius)


@pytest.mark.parametrize("costs", [BANDS, SORTED_TWICE])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    radius=st.integers(0, 44),
    dihedral_radius=st.one_of(st.none(), st.integers(0, 44)),
    apart=st.booleans(),
)
def test_the_bands_find_what_brute_force_finds(costs, seed, radius, dihedral_radius, apart):
    bits = clustered_bits(seed, 80, flips=(0.0, 0.02, 0.05, 0.08, 0.12))
    left, right = (bits[:50], bits[30:]) if apart else (bits, None)
    parts = slices(
        len(left), None if right is None else len(right), radius, dihedral_radius, costs
    )
    assert all(part.bands for part in parts)
    found = near_pairs(
        hashes(left), None if right is None else hashes(right), radius, dihedral_radius, costs=costs
    )
    assert as_set(found) == brute_force(left, right, radius, dihedral_radius)


@pytest.mark.parametrize("radii", [(40, 24), (24, 24), (20, 30), (64, 40), (31, None)])
def test_scan_and_bands_find_the_same_pairs_among_many(radii):
    bits = clustered_bits(7, 2500, flips=(0.0, 0.02, 0.05, 0.08, 0.12, 0.2))
    scanned = near_pairs(hashes(bits), None, *radii, workers=1, costs=SCAN)
    assert len(scanned) > 100
    assert as_set(near_pairs(hashes(bits), None, *radii, workers=3, costs=BANDS)) == as_set(scanned)
    into = near_pairs(hashes(bits[:300]), hashes(bits), *radii, workers=2)
    assert as_set(into) >= {p for p in as_set(scanned) if p[0] < 300}


@pytest.mark.parametrize("costs", [SCAN, SORTED_TWICE])
def test_slices_in_any_order_give_every_pair_once(costs):
    bits = clustered_bits(9, 5000, flips=(0.0, 0.02, 0.05, 0.08))
    parts = slices(5000, None, 32, 24, costs)
    assert len(parts) > 2
    shuffled = np.random.default_rng(0).permutation(len(parts))
    whole = Pairs.joined([run(hashes(bits), None, Slice(**vars(parts[k]))) for k in shuffled])
    assert as_set(whole) == as_set(near_pairs(hashes(bits), None, 32, 24))


def test_columns_beyond_one_tile_are_searched():
    rng = np.random.default_rng(1)
    right = rng.integers(0, 2, (5_000, 256), dtype=np.uint8)
    left = right[[0, 1023, 1024, 4_999]].copy()
    left[:, :30] ^= 1
    for costs in (SCAN, BANDS):
        found = near_pairs(hashes(left), hashes(right), 40, None, costs=costs)
        assert as_set(found) == {(k, j, 0, 30) for k, j in enumerate((0, 1023, 1024, 4_999))}


def test_bands_share_out_every_bit_once():
    for number in (16, 26, 34, 42, 97):
        bands = bands_of(number).tolist()
        assert len(bands) == number
        for word in range(4):
            masks = [mask << shift for w, shift, mask in bands if w == word]
            assert sum(masks) == 2**64 - 1
            assert max(mask.bit_length() for w, _, mask in bands) <= 16


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


def test_the_cheaper_method_is_chosen():
    def kinds(*search):
        return {(bool(s.bands), s.radius, s.dihedral_radius) for s in slices(*search)}

    assert kinds(100_000, None, 64, 40) == {(False, 64, 40)}
    assert kinds(1_000_000, None, 24, 24) == {(True, 24, 24)}
    assert kinds(1_000_000, None, 40, 24) == {(True, 40, -1), (True, -1, 24)}
    assert kinds(1_000_000, None, 64, 24) == {(False, 64, -1), (True, -1, 24)}
    assert kinds(1_000, 1_000_000, 40, 24) == {(False, 40, 24)}


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


def test_fifty_thousand_equal_hashes_do_not_blow_up_the_join():
    bits = np.random.default_rng(3).integers(0, 2, (1, 256), dtype=np.uint8).repeat(50_000, axis=0)
    ids = [f"i{k:05d}" for k in range(50_000)]
    found = search(images(bits, image_id=ids), None, BOUNDS)  # other pixels each, the same hash
    assert found.num_rows == 49_999
    assert set(found["a"].to_pylist()) == {"i00000"}
    black = images(np.zeros_like(bits), image_id=ids, hash_is_degenerate=[True] * 50_000)
    assert search(black, None, BOUNDS).num_rows == 0


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
