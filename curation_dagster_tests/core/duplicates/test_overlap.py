"""The overlap of archives counts each image once, by its strongest tie."""

import pyarrow as pa

from curation_dagster.core.duplicates.overlap import matrix, overlap


def rows_of(*members):
    names = ("image_id", "archive", "sha256", "pixel_sha256", "group_id")
    columns = zip(*members, strict=True) if members else [[]] * 5
    return overlap(pa.table({n: pa.array(list(c), pa.string()) for n, c in zip(names, columns, strict=True)}))


def test_each_image_counts_once_by_its_strongest_tie():
    found = rows_of(
        ("1", "ham", "f1", "p1", "g"), ("2", "isic", "f1", "p1", "g"), ("3", "isic", "f2", "p1", "g"),
        ("4", "bcn", "f4", "p4", "g"), ("5", "ham", "f5", None, "h"), ("6", "isic", "f6", None, "h"),
        ("7", "ham", "f7", "p7", "i"), ("8", "ham", "f7", "p7", "i"), ("9", "isic", "f9", "p9", None),
    ).to_pylist()  # fmt: skip
    counts = {
        (r["archive"], r["other"]): (r["images"], r["same_file"], r["same_pixels"], r["near"]) for r in found
    }
    assert counts == {
        ("ham", "isic"): (2, 1, 0, 1),
        ("isic", "ham"): (3, 1, 1, 1),
        ("bcn", "ham"): (1, 0, 0, 1),
        ("bcn", "isic"): (1, 0, 0, 1),
        ("ham", "bcn"): (1, 0, 0, 1),
        ("isic", "bcn"): (2, 0, 0, 2),
    }


def test_archives_without_a_common_picture_share_nothing():
    assert rows_of().num_rows == 0
    assert rows_of(("1", "ham", "f", "p", None), ("2", "isic", "f", "p", None)).num_rows == 0


def test_the_matrix_has_every_archive_both_ways_and_no_diagonal():
    shared = rows_of(
        ("1", "ham", "f1", "p1", "g"), ("2", "isic", "f2", "p2", "g"), ("3", "isic", "f3", "p3", "g"),
        ("4", "bcn", "f4", "p4", "h"), ("5", "isic", "f4", "p4", "h"),
    )  # fmt: skip
    headers, rows = matrix(shared)
    assert headers == ["images of", "in bcn", "in ham", "in isic"]
    assert rows == [["bcn", "", 0, 1], ["ham", 0, "", 1], ["isic", 1, 2, ""]]
    assert matrix(rows_of()) == (["images of"], [])
