from __future__ import annotations

import contextlib
import io
import stat
import struct
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.retrieval import names
from curation_dagster.core.retrieval.containers import open_bytes
from curation_dagster.core.retrieval.errors import (
    DamagedContainer,
    HostileContainer,
    RetrievalError,
    UnsupportedContainer,
)
from curation_dagster.core.retrieval.limits import ContainerLimits
from curation_dagster.core.retrieval.staging import stage
from curation_dagster.core.retrieval.zips import inspect, open_zip

from .builders import CSV, JPEG, KEY, PNG, archive_version, make_zip, make_zip_of, patch

MIB = 1 << 20


def refused(
    place, data: bytes, kind: type[RetrievalError] = HostileContainer, **limits: object
) -> RetrievalError:
    """Stage a delivery with this zip, and return the error; nothing may be left of it."""
    place.deliver({"bad.zip": data, "good.jpg": JPEG})
    with pytest.raises(kind) as raised:
        place.stage(**limits)
    assert "bad.zip" in str(raised.value)
    assert not place.staged.exists()
    assert place.left_behind() == []
    return raised.value


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/etc/passwd", "absolute path"),
        ("//server/share", "absolute path"),
        ("../up.jpg", "climbs out"),
        ("a/../../up.jpg", "climbs out"),
        ("a/..", "climbs out"),
        ("../", "climbs out"),
        ("C:/windows/a.jpg", "drive letter"),
        ("c:a.jpg", "drive letter"),
        ("images\\a.jpg", "backslash"),
        ("..\\a.jpg", "backslash"),
        ("a\nb.jpg", "control character"),
        ("a\x1b[2Jb.jpg", "control character"),
        (".", "empty name"),
    ],
)
def test_names_that_no_honest_zip_holds_are_refused(place, name, problem):
    error = refused(place, make_zip({"a.jpg": JPEG, name: b"" if name.endswith("/") else b"x"}))
    assert len(error.members) == 1
    assert problem in error.members[0]
    assert error.what.isprintable()


def test_a_name_with_a_zero_byte_is_refused(place):
    data = patch(make_zip({"a.jpgXexe": JPEG}), b"a.jpgXexe", b"a.jpg\0exe")
    assert "control character" in refused(place, data).members[0]


def test_all_members_that_are_a_reason_are_listed(place):
    error = refused(place, make_zip({"../a": b"1", "/b": b"2", "c": b"3", "d\\e": b"4"}))
    assert [m.split(": ")[0] for m in error.members] == ["../a", "/b", r"d\e"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(place, kind):
    info = zipfile.ZipInfo("innocent.jpg")
    info.external_attr = (kind | 0o777) << 16
    assert "innocent.jpg" in refused(place, make_zip_of([(info, b"/etc/passwd")])).members[0]


def test_encrypted_members_are_refused(place):
    data = bytearray(make_zip({"a.jpg": JPEG}))
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 8, 1)
    assert "encrypted" in refused(place, bytes(data)).members[0]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a/b.jpg", "a//b.jpg", "./a/b.jpg"])
def test_doubled_names_are_refused(place, second):
    data = make_zip_of([(zipfile.ZipInfo("a/b.jpg"), JPEG), (zipfile.ZipInfo(second), PNG)])
    assert "doubled name" in refused(place, data).members[0]


def test_overlapping_entries_are_refused(place):
    data = bytearray(make_zip({f"{i}.jpg": JPEG for i in range(3)}, zipfile.ZIP_STORED))
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    struct.pack_into("<L", data, entry + 42, 0)  # the second entry points at the first member
    assert "overlaps" in refused(place, bytes(data)).members[0]


def test_an_entry_that_reaches_into_the_table_of_contents_is_refused(place):
    data = bytearray(make_zip({"a.jpg": JPEG}, zipfile.ZIP_STORED))
    struct.pack_into("<2L", data, data.index(b"PK\x01\x02") + 20, len(JPEG) + 40, len(JPEG) + 40)
    assert "overlaps" in refused(place, bytes(data)).members[0]


def test_stored_members_whose_sizes_differ_are_refused(place):
    data = bytearray(make_zip({"a.jpg": JPEG}, zipfile.ZIP_STORED))
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 10 * len(JPEG))
    assert "contradict" in refused(place, bytes(data)).members[0]


@pytest.mark.parametrize("size", [len(CSV) - 5, len(CSV) + 5])
def test_members_of_another_size_than_the_zip_says_are_damage(place, size):
    data = bytearray(make_zip({"a.csv": CSV}))
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, size)
    assert "a.csv" in refused(place, bytes(data), DamagedContainer).got


def test_a_member_that_hides_more_than_it_says_costs_no_more_than_it_says(place):
    data = bytearray(make_zip({"a.bin": bytes(50 * MIB)}))
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 1000)
    refused(place, bytes(data), DamagedContainer)


def test_a_zip_that_says_another_number_of_members_is_refused(place):
    data = bytearray(make_zip({f"{i}.jpg": JPEG for i in range(3)}))
    struct.pack_into("<2H", data, len(data) - 14, 2, 2)
    assert "as the zip says" in refused(place, bytes(data)).expected


def test_a_bomb_is_refused_before_it_is_unpacked(place, monkeypatch):
    monkeypatch.setattr("curation_dagster.core.retrieval.expanding.read_chunks", None)
    error = refused(place, make_zip({"zeros.bin": bytes(70 * MIB)}))
    assert "unpacks" in error.members[0]


def test_a_bomb_in_many_small_pieces_is_refused(place):
    members = {f"{i}.bin": bytes(MIB) for i in range(20)}
    error = refused(place, make_zip(members), ratio_from_bytes=10 * MIB)
    assert "unpacked bytes per packed byte" in error.expected


def test_what_shrinks_a_lot_but_is_small_is_no_bomb(place):
    place.deliver({"masks.zip": make_zip({"mask.bin": bytes(12 * MIB)})})
    assert place.stage().num_rows == 2


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_members": 2}, "at most 2 members"),
        ({"max_directory_bytes": 100}, "at most 100 bytes"),
        ({"max_total_bytes": 2 * len(JPEG)}, "bytes unpacked"),
    ],
)
def test_limits_of_a_whole_container(place, limits, said):
    assert said in refused(place, make_zip({f"{i}.jpg": JPEG for i in range(3)}), **limits).expected


def test_the_limit_of_one_member(place):
    error = refused(place, make_zip({"a.jpg": JPEG}), max_member_bytes=len(JPEG) - 1)
    assert "bytes unpacked, of at most" in error.members[0]


def test_limits_count_over_all_containers_of_a_delivery(place):
    place.deliver({f"{i}.zip": make_zip({"a.jpg": JPEG, "b.jpg": PNG}) for i in range(3)})
    with pytest.raises(HostileContainer, match="at most 5 members"):
        place.stage(max_members=5)
    assert place.stage(max_members=6).num_rows == 9


def nested(depth: int) -> bytes:
    data = make_zip({"a.jpg": JPEG})
    for _ in range(depth - 1):
        data = make_zip({"in.zip": data})
    return data


def test_containers_may_be_nested_three_deep(place):
    place.deliver({"x.zip": nested(3)})
    assert "x.zip!/in.zip!/in.zip!/a.jpg" in place.stage()["path"].to_pylist()


def test_deeper_containers_are_refused(place):
    assert "at depth 4" in refused(place, nested(4)).got


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packing_methods_are_not_supported(place, method):
    error = refused(place, make_zip({"a.jpg": JPEG}, method), UnsupportedContainer)
    assert str(method) in error.got
    assert "deliver the folder" in error.next


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.99])
def test_a_zip_that_was_cut_off_is_damaged(place, keep):
    data = make_zip({f"{i}.jpg": JPEG for i in range(50)})
    error = refused(place, data[: int(len(data) * keep)], DamagedContainer)
    assert "fetch it again" in error.next


def test_damaged_members_are_all_listed(place):
    data = bytearray(make_zip({f"{i}.jpg": JPEG for i in range(5)}, zipfile.ZIP_STORED))
    for name in (b"1.jpg", b"3.jpg"):
        data[data.index(name) + 50] ^= 1
    error = refused(place, bytes(data), DamagedContainer)
    assert "2 of 5" in error.got
    assert "1.jpg" in error.got
    assert "3.jpg" in error.got


def test_a_table_of_contents_that_is_overwritten_is_damage(place):
    data = bytearray(make_zip({f"{i}.jpg": JPEG for i in range(5)}))
    data[data.rindex(b"PK\x01\x02")] ^= 1
    refused(place, bytes(data), DamagedContainer)


@pytest.mark.parametrize(
    ("content", "got"),
    [(b"<!DOCTYPE html><html>Log in", "text/html"), (b"", "application/x-empty"), (JPEG, "image/jpeg")],
)
def test_a_zip_that_is_none_is_an_error(place, content, got):
    error = refused(place, content, DamagedContainer)
    assert error.got == got
    assert "login or error page" in error.next


def test_an_empty_member_called_zip_is_an_error_too(place):
    refused(place, make_zip({"in.zip": b""}), DamagedContainer)


@pytest.mark.parametrize(
    ("content", "got"),
    [(b"7z\xbc\xaf\x27\x1c....", "7z"), (b"Rar!\x1a\x07\x01\x00....", "RAR")],
)
def test_other_containers_are_not_supported(place, content, got):
    assert refused(place, make_zip({"inner": content}), UnsupportedContainer).got == got


# -- honest zips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_members_are_read(place, rows, method):
    place.deliver({"x.zip": make_zip({"a.jpg": JPEG, "b.csv": CSV}, method)})
    assert rows(place.stage())["x.zip!/b.csv"]["bytes"] == len(CSV)


def test_zip64_is_read(place, rows):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as packed, packed.open("a.jpg", "w", force_zip64=True) as written:
        written.write(JPEG)
    place.deliver({"x.zip": memory.getvalue()})
    assert rows(place.stage())["x.zip!/a.jpg"]["bytes"] == len(JPEG)


def zip_of_many(count: int) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as packed:
        for i in range(count):
            packed.writestr(zipfile.ZipInfo(f"{i}"), b"")
    return memory.getvalue()


def test_more_members_than_16_bits_count(tmp_path):
    data = zip_of_many(65_540)  # zip64, as zipfile writes it
    record, end = data.index(b"PK\x06\x06"), data.rindex(b"PK\x05\x06")
    size, offset = struct.unpack_from("<QQ", data, record + 40)
    # and as old tools write it: no zip64, a count that overflowed
    old = data[:record] + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 4, 4, size, offset, 0)
    assert len(data) - end == 22
    for content in (data, old):
        path = tmp_path / "many.zip"
        path.write_bytes(content)
        with open_zip(path, "many.zip", ContainerLimits.load()) as opened:
            assert len(inspect(opened, "many.zip", ContainerLimits.load())) == 65_540


def test_bytes_before_the_zip_are_no_obstacle(place, rows):
    place.deliver({"x.zip": b"PK\x03\x04" + b"prefix" * 10 + make_zip({"a.jpg": JPEG})})
    assert "x.zip!/a.jpg" in rows(place.stage())


def test_names_in_utf8_and_in_code_page_437(place, rows):
    flagged = zipfile.ZipInfo("bösartig.jpg")
    data = make_zip({"b?sartig.jpg": JPEG, "naevus_???.jpg": JPEG})
    data = patch(data, b"b?sartig.jpg", b"b\x94sartig.jpg")  # code page 437
    data = patch(
        data, b"naevus_???.jpg", "naevus_é1.jpg".encode()
    )  # UTF-8 without the flag, as macOS writes it
    place.deliver({"flagged.zip": make_zip_of([(flagged, JPEG)]), "old.zip": data})
    found = rows(place.stage())
    assert {"flagged.zip!/bösartig.jpg", "old.zip!/bösartig.jpg", "old.zip!/naevus_é1.jpg"} < set(found)
    for path in found:
        if path.endswith(".jpg"):
            assert open_bytes(found[path], place.staging) == JPEG


def test_names_that_differ_in_case_only_are_two_rows(place, rows):
    place.deliver({"x.zip": make_zip({"a.jpg": JPEG, "A.JPG": PNG})})
    found = rows(place.stage())
    assert found["x.zip!/a.jpg"]["sha256"] != found["x.zip!/A.JPG"]["sha256"]


def test_documents_that_are_zips_inside_are_files(place, rows):
    sheet = make_zip({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"})
    place.deliver(
        {"meta.xlsx": sheet, "array.npz": make_zip({"a.npy": b"1"}), "x.zip": make_zip({"m.xlsx": sheet})}
    )
    found = rows(place.stage())
    assert list(found) == ["array.npz", "meta.xlsx", "x.zip", "x.zip!/m.xlsx"]
    assert found["meta.xlsx"]["media_type"].endswith("spreadsheetml.sheet")
    assert found["x.zip!/m.xlsx"]["role"] == "other"


def test_zips_are_found_by_content(place, rows):
    place.deliver({"4711": make_zip({"a.jpg": JPEG})})  # as some repositories name downloads
    assert "4711!/a.jpg" in rows(place.stage())


def test_what_operating_systems_leave_behind_is_never_opened(place, rows):
    place.deliver(
        {
            "x.zip": make_zip(
                {"a.jpg": JPEG, "__MACOSX/._in.zip": b"\x00\x05\x16\x07...", "__MACOSX/in.zip": b"zz"}
            )
        }
    )
    assert rows(place.stage())["x.zip!/__MACOSX/._in.zip"]["role"] == "ignored"


def test_the_same_inner_zip_twice_is_stored_once(place, rows):
    inner = make_zip({"a.jpg": JPEG})
    place.deliver({"x.zip": make_zip({"1.zip": inner, "2.zip": inner})})
    found = rows(place.stage())
    assert found["x.zip!/1.zip!/a.jpg"]["container"] == found["x.zip!/2.zip!/a.jpg"]["container"]
    assert len(list((place.staged / ".staged").glob("*.zip"))) == 1


# -- names -----------------------------------------------------------------------------------------

parts = st.sampled_from(
    ["..", ".", "", "a", "b.jpg", "C:", "~", "\\", "\0", "\n", "..\\", "é", "con", "!", " ", "\udce9"]
)
tricky = st.one_of(st.lists(parts, min_size=1, max_size=6).map("/".join), st.text(max_size=30))


@given(tricky)
def test_no_accepted_name_ever_escapes(name):
    if names.problem_of(name) is not None:
        return
    kept = names.plain(name)
    assert kept
    assert not kept.startswith("/")
    assert ".." not in kept.split("/")
    assert "\\" not in kept
    assert "\0" not in kept
    assert names.plain(kept) == kept
    kept.encode("utf-8")


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), st.binary(max_size=20), max_size=5
    )
)
def test_any_zip_is_staged_inside_its_folder_or_refused(tmp_path_factory, members):
    root = tmp_path_factory.mktemp("any")
    (root / "landing" / KEY).mkdir(parents=True)
    (root / "landing" / KEY / "x.zip").write_bytes(make_zip(members))
    limits = replace(ContainerLimits.load(), reserve_bytes=0)
    before = set(root.rglob("*"))
    table = None
    with contextlib.suppress(RetrievalError):
        table = stage(archive_version(), root / "landing", root / "staging", limits=limits)
    assert all(p.is_relative_to(root / "staging") for p in set(root.rglob("*")) - before)
    if table is None:
        assert not (root / "staging" / KEY).exists()
        return
    assert all(p == "x.zip" or p.startswith("x.zip!/") for p in table["path"].to_pylist())
    assert sorted(p.name for p in (root / "staging" / KEY).iterdir()) == [".staged", "x.zip"]
