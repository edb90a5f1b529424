from __future__ import annotations

import gzip
import io
import os
import tarfile

import pytest

from curation_dagster.core.retrieval.containers import open_bytes
from curation_dagster.core.retrieval.errors import (
    DamagedContainer,
    HostileContainer,
    RetrievalError,
    UnsupportedContainer,
)

from .builders import CSV, JPEG, PNG, make_tar, make_zip

MIB = 1 << 20


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def refused(
    place, data: bytes, kind: type[RetrievalError] = HostileContainer, name: str = "bad.tar", **limits: object
) -> RetrievalError:
    place.deliver({name: data, "good.jpg": JPEG})
    with pytest.raises(kind) as raised:
        place.stage(**limits)
    assert name in str(raised.value)
    assert not place.staged.exists()
    assert place.left_behind() == []
    return raised.value


@pytest.mark.parametrize(
    ("packing", "name"),
    [("", "x.tar"), ("gz", "x.tar.gz"), ("gz", "x.tgz"), ("bz2", "x.tar.bz2"), ("gz", "download")],
)
def test_tars_are_read(place, rows, packing, name):
    members = [
        ("./", b""),
        ("./a.jpg", JPEG),
        ("sub/b.csv", CSV),
        ("sub/empty", b""),
        ("block.png", PNG + bytes(1024 - len(PNG))),
    ]
    members[0] = special("./", tarfile.DIRTYPE)
    place.deliver({name: make_tar(members, packing)})
    found = rows(place.stage())
    assert list(found) == [name, *(f"{name}!/{m}" for m in ("a.jpg", "block.png", "sub/b.csv", "sub/empty"))]
    assert open_bytes(found[f"{name}!/a.jpg"], place.staging) == JPEG
    assert found[name]["role"] == "container"
    assert open_bytes(found[name], place.staging) == (place.delivery / name).read_bytes()
    assert found[f"{name}!/sub/b.csv"]["container"] == f".staged/{found[name]['sha256']}.zip"


def test_tars_inside_containers_are_read(place, rows):
    inner = make_tar([("a.jpg", JPEG), ("z.zip", make_zip({"b.png": PNG}))], "gz")
    place.deliver(
        {
            "x.zip": make_zip({"t.tgz": inner, "copy/t.tgz": inner}),
            "y.tar": make_tar([("t.tgz", make_tar([("c.jpg", JPEG)], "gz"))]),
        }
    )
    found = rows(place.stage())
    assert {"x.zip!/t.tgz!/z.zip!/b.png", "x.zip!/copy/t.tgz!/a.jpg", "y.tar!/t.tgz!/c.jpg"} < set(found)
    for row in found.values():
        open_bytes(row, place.staging)
    assert all(p.suffix in (".zip", ".parquet") for p in (place.staged / ".staged").iterdir())


def test_the_same_tar_always_becomes_the_same_zip(place):
    place.deliver({"x.tar": make_tar([("a.jpg", JPEG)])})
    place.stage()
    first = next((place.staged / ".staged").glob("*.zip")).read_bytes()
    place.staging.rename(place.staging.with_name("first"))
    place.stage()
    assert next((place.staged / ".staged").glob("*.zip")).read_bytes() == first


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (special("a", tarfile.SYMTYPE, "/etc/passwd"), "symbolic link"),
        (special("a", tarfile.LNKTYPE, "good.jpg"), "hard link"),
        (special("a", tarfile.CHRTYPE), "device"),
        (special("a", tarfile.BLKTYPE), "device"),
        (special("a", tarfile.FIFOTYPE), "named pipe"),
        (special("../a", tarfile.DIRTYPE), "climbs out"),
        (("/etc/passwd", b"x"), "absolute path"),
        (("../../a.jpg", b"x"), "climbs out"),
        (("C:/a.jpg", b"x"), "drive letter"),
        (("a\\b.jpg", b"x"), "backslash"),
        (("a\nb.jpg", b"x"), "control character"),
    ],
)
@pytest.mark.parametrize("packing", ["", "gz"])
def test_what_no_honest_tar_holds_is_refused(place, member, problem, packing):
    error = refused(place, make_tar([("ok.jpg", JPEG), member, ("ok2.jpg", JPEG)], packing))
    assert len(error.members) == 1
    assert problem in error.members[0]


def test_doubled_names_are_refused(place):
    assert "doubled name" in refused(place, make_tar([("a.jpg", JPEG), ("./a.jpg", PNG)])).members[0]


def test_all_members_that_are_a_reason_are_listed(place):
    error = refused(
        place, make_tar([("/a", b"1"), ("b", b"2"), ("../c", b"3"), special("d", tarfile.SYMTYPE, "b")])
    )
    assert [m.split(": ")[1] for m in error.members] == [
        "absolute path",
        "climbs out by '..'",
        "symbolic link",
    ]


def test_sparse_files_are_refused(place):
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": "1000",
        "GNU.sparse.map": "0,3",
    }
    info.size = 3
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as packed:
        packed.addfile(info, io.BytesIO(b"abc"))
    assert "sparse" in refused(place, memory.getvalue()).members[0]


def test_a_header_of_absurd_size_is_refused(place):
    info = tarfile.TarInfo("a")
    info.pax_headers = {"comment": "x" * (2 * MIB)}
    assert "headers of at most" in refused(place, make_tar([(info, b"")])).expected


def test_headers_that_follow_headers_without_end_are_damage(place):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    block = info.tobuf(tarfile.GNU_FORMAT) + b"a" + bytes(511)
    refused(place, block * 3000 + bytes(1024), DamagedContainer)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_members": 2}, "at most 2 members"),
        ({"max_total_bytes": 1000}, "bytes unpacked"),
        ({"ratio_from_bytes": MIB}, "unpacked bytes per packed byte"),
    ],
)
def test_limits_hold_while_a_tar_is_unpacked(place, limits, said):
    data = make_tar([(f"{i}.bin", bytes(MIB)) for i in range(3)], "gz")
    assert said in refused(place, data, name="bad.tgz", **limits).expected


def test_the_limit_of_one_member(place):
    assert "of at most" in refused(place, make_tar([("a.jpg", JPEG)]), max_member_bytes=10).members[0]


@pytest.mark.parametrize("packing", ["", "gz", "bz2"])
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.95])
def test_a_tar_that_was_cut_off_is_damaged(place, packing, keep):
    data = make_tar([(f"{i}.bin", os.urandom(3000)) for i in range(20)], packing)
    cut = data.rstrip(b"\0") if not packing else data
    error = refused(
        place,
        cut[: int(len(cut) * keep)],
        DamagedContainer,
        name=f"bad.tar.{packing}" if packing else "bad.tar",
    )
    assert "fetch it again" in error.next


def test_a_tar_cut_off_between_two_members_is_damaged(place):
    whole = make_tar([("a.bin", bytes(range(256)) * 2), ("b.bin", JPEG)])
    refused(place, whole[:1024], DamagedContainer)


def test_a_broken_header_in_the_middle_is_damage_and_not_the_end(place):
    data = bytearray(make_tar([("a.jpg", JPEG), ("b.jpg", JPEG), ("c.jpg", JPEG)]))
    data[data.index(b"b.jpg")] ^= 1
    assert "end mark" in refused(place, bytes(data), DamagedContainer).got


def test_data_behind_the_end_mark_is_an_error(place):
    data = make_tar([("a.jpg", JPEG)]) + make_tar([("hidden.jpg", JPEG)])
    assert "after the end mark" in refused(place, data, DamagedContainer).got


def test_a_damaged_gzip_is_an_error(place):
    data = bytearray(make_tar([("a.bin", os.urandom(5000))], "gz"))
    data[-6] ^= 1  # its check sum
    refused(place, bytes(data), DamagedContainer, name="bad.tar.gz")


def test_names_that_are_not_utf8_are_read_as_code_page_437(place, rows):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.GNU_FORMAT, encoding="cp437") as packed:
        info = tarfile.TarInfo("bösartig.jpg")
        info.size = len(JPEG)
        packed.addfile(info, io.BytesIO(JPEG))
    place.deliver({"x.tar": memory.getvalue()})
    found = rows(place.stage())
    assert open_bytes(found["x.tar!/bösartig.jpg"], place.staging) == JPEG


def test_tars_older_than_posix_are_read(place, rows):
    data = bytearray(make_tar([("a.jpg", JPEG)]))
    data[257:265] = bytes(8)  # no signature
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    place.deliver({"x.tar": bytes(data)})
    assert "x.tar!/a.jpg" in rows(place.stage())


def test_a_single_packed_table_is_a_file(place, rows):
    place.deliver({"meta.csv.gz": gzip.compress(CSV)})
    found = rows(place.stage())
    assert list(found) == ["meta.csv.gz"]
    assert found["meta.csv.gz"]["media_type"] == "application/gzip"


def test_a_packed_file_that_is_called_tar_but_is_none_is_damaged(place):
    refused(place, gzip.compress(CSV), DamagedContainer, name="bad.tar.gz")


def test_tars_packed_by_xz_are_not_supported(place):
    refused(place, b"\xfd7zXZ\x00....", UnsupportedContainer, name="bad.tar.xz")
