"""Archives that ask for too much: each is named, quickly, with little memory, and nothing is written."""

from __future__ import annotations

import gzip
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from xglue_harness.benchmark import task
from xglue_harness.data import tar
from xglue_harness.data.archive import ArchiveSource
from xglue_harness.errors import DataError

TRAIN = "xglue_full_dataset/NER/en.train"
END = bytes(1024)
HUGE = 9_000_000_000


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, form: int = tarfile.GNU_FORMAT) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, "/etc/passwd"
    return member.tobuf(form)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def member(name: str, content: bytes = b"a O\n") -> bytes:
    return header(name, len(content)) + padded(content)


def pax(records: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    found = b""
    for key, value in records.items():
        record = f" {key}={value}\n".encode()
        length = len(record) + 1
        while len(str(length)) + len(record) != length:
            length += 1
        found += str(length).encode() + record
    return header("PaxHeader", len(found), kind, tarfile.USTAR_FORMAT) + padded(found)


def gnu_sparse() -> bytes:
    """A member of one byte that unpacks to 8 GB."""
    found = bytearray(header(TRAIN, 512, tarfile.GNUTYPE_SPARSE))
    found[386:410] = b"00000000000\x0000000001000\x00"
    found[483:495] = b"77777777777\x00"
    found[148:156] = b"%06o\0 " % (sum(found[:148]) + 256 + sum(found[156:]))
    return bytes(found) + bytes(512)


def sparse(records: dict[str, str], name: str = TRAIN) -> bytes:
    return pax({"GNU.sparse.name": name, **records}) + header(name, 512, form=tarfile.USTAR_FORMAT)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refused(content: bytes, tmp_path: Path, root: Path) -> str:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(content, 9))
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        ArchiveSource(path).load(task("ner"), "train", "en")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000_000
    assert list((root / "archives").iterdir()) == []
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gnu_sparse(), f"{TRAIN}: is a sparse file"),
        (sparse({"GNU.sparse.map": "0,1", "GNU.sparse.size": str(HUGE)}), f"{TRAIN}: is a sparse file"),
        (
            sparse({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(HUGE)})
            + padded(b"1\n0\n0\n"),
            "PaxHeader: is a sparse file",
        ),
        (header("PaxHeader", HUGE, tarfile.XHDTYPE), "1 headers before a member, of 9,000,000,512 bytes and more"),
        (header("PaxHeader", HUGE, tarfile.XGLTYPE), "1 headers before a member"),
        (header("././@LongLink", HUGE, tarfile.GNUTYPE_LONGNAME), "1 headers before a member"),
        (header("././@LongLink", HUGE, tarfile.GNUTYPE_LONGLINK), "1 headers before a member"),
        (pax({"a": "b"}) * 3000 + member(TRAIN), "9 headers before a member"),
        (
            b"".join(pax({"a": "b" * 900_000}) + member(f"f{number}") for number in range(13)),
            "1 headers before a member",
        ),
        (member(TRAIN) * 2, f"{TRAIN}: stands there twice"),
        (member(TRAIN) + member(f"./{TRAIN}"), f"./{TRAIN}: stands there twice"),
        (member(TRAIN) + member("xglue_full_dataset//NER/en.train"), "xglue_full_dataset//NER/en.train: stands there"),
        (member(f"/{TRAIN}"), f"/{TRAIN}: leads out of the archive's folder"),
        (member(f"../{TRAIN}"), f"../{TRAIN}: leads out"),
        (member("xglue_full_dataset/x/../NER/en.train"), "xglue_full_dataset/x/../NER/en.train: leads out"),
        (header(TRAIN, 0, tarfile.SYMTYPE), f"{TRAIN}: is a link; expected a regular file"),
        (header(TRAIN, 0, tarfile.LNKTYPE), f"{TRAIN}: is a link"),
        (header(TRAIN, 0, tarfile.CHRTYPE), f"{TRAIN}: is a device or a pipe"),
        (header(TRAIN, 0, tarfile.FIFOTYPE), f"{TRAIN}: is a device or a pipe"),
        (header(TRAIN, 0, tarfile.DIRTYPE), f"{TRAIN}: is a folder"),
        (header(TRAIN, HUGE), f"{TRAIN}: 9,000,000,000 bytes; at most 1,000,000,000 do"),
        (member("f") + header("g", -512), "g: -512 bytes"),
        (b"".join(header(f"f{number}", 0) for number in range(10_001)), "more than 10,000 members"),
        (member("f", bytes(80_000_000)) + member(TRAIN), "unpacks to more than"),
        (member(TRAIN) + END + bytes(80_000_000), "unpacks to more than"),
    ],
)
def test_what_asks_for_too_much(content: bytes, message: str, tmp_path: Path, root: Path) -> None:
    assert refused(content + END, tmp_path, root).startswith(message)


def test_bounds_on_all_files_together(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MOST_WRITTEN_BYTES", 6)
    content = member(TRAIN) + member("xglue_full_dataset/NER/en.dev") + END
    assert refused(content, tmp_path, root).startswith("the eight tasks take more than")


def test_what_is_not_wanted_is_left_where_it_is(tmp_path: Path, root: Path) -> None:
    others = (
        header("link", 0, tarfile.SYMTYPE) + header("pipe", 0, tarfile.FIFOTYPE) + member("/etc/x") + member("../x")
    )
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(others + pax({"comment": "x"}) + member(TRAIN) + END))
    folder = ArchiveSource(path).folder()
    assert (folder / "NER/en.train").read_bytes() == b"a O\n"
    assert sorted(entry.name for entry in folder.iterdir()) == [".unpacked.json", "NER"]
