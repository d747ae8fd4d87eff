"""An unpacked archive vouches for its content: what is damaged is named, and unpacked anew or refused."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers.layout import pack, write_layout
from xglue_harness.benchmark import task
from xglue_harness.cli.data import app
from xglue_harness.data import archive as module
from xglue_harness.data import open_source
from xglue_harness.data.archive import ArchiveSource, lock_of, unpack
from xglue_harness.data.check import check
from xglue_harness.data.leftovers import leftovers
from xglue_harness.data.prepare import prepare
from xglue_harness.data.unpacked import MANIFEST, verify_unpacked
from xglue_harness.errors import DataError
from xglue_harness.exclusive import locked
from xglue_harness.seal import sealed_json

NER = task("ner")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return pack(tmp_path / "xglue.tar.gz", write_layout(tmp_path / "data", [NER]))


def words(source: ArchiveSource) -> list[str]:
    return [word for row in source.load(NER, "test", "de").dataset["words"] for word in row]


def flipped(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(data)


def edit(folder: Path) -> None:
    path = folder / "NER/de.test"
    path.write_bytes(path.read_bytes().replace(b" B-PER\n", b" I-PER\n"))


def exchange(folder: Path) -> None:
    shutil.copy(folder / "NER/en.test", folder / "NER/de.test")


def take_away(folder: Path) -> None:
    (folder / "NER/de.test").unlink()


def cut(folder: Path) -> None:
    path = folder / "NER/de.test"
    path.write_bytes(path.read_bytes()[:-1])


def without_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def broken_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"[" * 100_000)


def edited_manifest(folder: Path) -> None:
    """Whoever edits a file and its checksum does not edit the manifest's own."""
    edit(folder)
    value = json.loads((folder / MANIFEST).read_bytes())
    data = (folder / "NER/de.test").read_bytes()
    value["files"]["NER/de.test"] = [hashlib.sha256(data).hexdigest(), len(data)]
    (folder / MANIFEST).write_text(json.dumps(value, indent=1, sort_keys=True))


def of_another_archive(folder: Path) -> None:
    edit(folder)
    data = (folder / "NER/de.test").read_bytes()
    files = {"NER/de.test": [hashlib.sha256(data).hexdigest(), len(data)]}
    (folder / MANIFEST).write_bytes(sealed_json("0" * 64, {"format": 1, "files": files}))


@pytest.mark.parametrize(
    "damage",
    [edit, exchange, take_away, cut, without_manifest, broken_manifest, edited_manifest, of_another_archive],
)
def test_what_is_damaged_is_named_and_unpacked_anew(
    damage: Callable[[Path], None], archive: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = words(ArchiveSource(archive))
    folder = ArchiveSource(archive).folder()
    assert verify_unpacked(folder) == []
    damage(folder)
    assert verify_unpacked(folder)
    with caplog.at_level(logging.WARNING):
        loaded = ArchiveSource(archive).load(NER, "test", "de")
    assert [word for row in loaded.dataset["words"] for word in row] == before
    assert caplog.messages[0].startswith("the unpacked archive is damaged (")
    assert str(folder) in caplog.messages[0]
    assert verify_unpacked(folder) == []
    assert [path.name for path in (root / "archives").iterdir()] == [folder.name]


def test_a_hundred_flipped_bits(archive: Path, root: Path) -> None:
    before = words(ArchiveSource(archive))
    folder = ArchiveSource(archive).folder()
    chosen = random.Random(0)
    for name in ("NER/de.test", MANIFEST):
        for _ in range(50):
            flipped(folder / name, chosen.randrange(8 * (folder / name).stat().st_size))
            assert len(verify_unpacked(folder)) == 1
            assert words(ArchiveSource(archive)) == before


def test_a_damage_meanwhile_is_found_by_a_source_that_is_open(archive: Path, root: Path) -> None:
    source = ArchiveSource(archive)
    before = words(source)
    edit(source.folder())
    assert words(source) == before


def test_without_the_archive_it_is_an_error_that_says_what_to_do(archive: Path, root: Path) -> None:
    source = ArchiveSource(archive)
    folder = source.folder()
    edit(folder)
    archive.unlink()
    with pytest.raises(DataError) as caught:
        source.load(NER, "test", "de")
    assert str(caught.value).startswith(f"{folder}/NER/de.test: sha256 ")
    assert "damaged or edited; and the archive can't be unpacked anew: " in str(caught.value)
    assert str(archive) in str(caught.value)


def test_a_folder_of_the_cache_by_its_path(archive: Path, root: Path) -> None:
    folder = ArchiveSource(archive).folder()
    (folder / "NER/nl.test").unlink()
    edit(folder)
    with pytest.raises(DataError, match=r"NER/de\.test: sha256 .* damaged or edited"):
        open_source(str(folder)).load(NER, "test", "de")
    report = check(folder, [NER])
    assert len(report.damage) == 2
    assert report.problems(allow_partial=True)[0].startswith(f"{folder}/NER/")
    report = check(archive, [NER])
    assert (report.damage, report.problems(allow_partial=True)[:1]) == ((), [])


def test_a_copy_under_another_name_is_the_users_own(archive: Path, root: Path, tmp_path: Path) -> None:
    shutil.copytree(ArchiveSource(archive).folder(), tmp_path / "mine")
    edit(tmp_path / "mine")
    assert len(open_source(str(tmp_path / "mine")).load(NER, "test", "de").dataset) == 4


def test_what_was_not_in_the_archive_is_not_read(archive: Path, root: Path, tmp_path: Path) -> None:
    source = ArchiveSource(archive)
    folder = source.folder()
    (folder / "POS").mkdir()
    shutil.copy(folder / "NER/de.test", folder / "POS/de.test")
    assert verify_unpacked(folder) == [f"{folder}/POS/de.test: was not in the archive"]
    assert source.available(task("pos")) == ()


def swap(monkeypatch: pytest.MonkeyPatch, archive: Path, other: Path) -> None:
    """Another archive is put in place once the first was hashed."""
    hashed = module.archive_sha256

    def hash_and_swap(path: Path) -> str:
        found = hashed(path)
        if path == archive:
            other.replace(archive)
        return found

    monkeypatch.setattr("xglue_harness.data.archive.archive_sha256", hash_and_swap)
    monkeypatch.setattr("xglue_harness.data.prepare.archive_sha256", hash_and_swap)


def test_an_archive_that_is_swapped_after_it_was_hashed(
    archive: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = pack(tmp_path / "other.tar.gz", write_layout(tmp_path / "data", [NER, task("pos")]))
    spare = tmp_path / "spare.tar.gz"
    shutil.copy(other, spare)
    swap(monkeypatch, archive, other)
    with pytest.raises(DataError, match=r"sha256 .* when it was unpacked, .* before: the file changed meanwhile"):
        ArchiveSource(archive).load(NER, "test", "de")
    assert list((root / "archives").iterdir()) == []
    shutil.copy(spare, other)
    expected = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.write_bytes(archive.read_bytes() + b"\0")  # another that gzip reads as well
    with pytest.raises(DataError, match="the file changed meanwhile"):
        unpack(archive, tmp_path / "target", expected)
    assert not (tmp_path / "target").exists()
    shutil.copy(spare, archive)
    spare.write_bytes(spare.read_bytes() + b"\0")
    spare.replace(other)
    with pytest.raises(DataError, match="the file changed meanwhile"):
        prepare(archive, tmp_path / "target", expected)
    assert not (tmp_path / "target").exists()


def run(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    return result.exit_code, result.stdout


def test_leftovers_are_shown_and_removed(archive: Path, root: Path, tmp_path: Path) -> None:
    folder = ArchiveSource(archive).folder()
    assert leftovers() == []
    half = folder.parent / f".{folder.name}.ab_12xyz"
    file = root / "arrow" / f".{'0' * 64}.arrow.{'a' * 32}.tmp"
    own = tmp_path / ".mine.ab_12xyz"
    old = time.time() - 7200
    for path in (half / "inner/NER/en.train", file, own / "inner/NER/en.train"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1_000_000))
        for place in (path, *path.parents[:3]):
            os.utime(place, (old, old))
    young = root / "arrow" / f".{'1' * 64}.arrow.{'a' * 32}.tmp"
    young.write_bytes(b"")
    with locked(lock_of(folder), ""):
        assert {item.path.name: item.in_use for item in leftovers()} == {
            half.name: True,
            file.name: False,
            young.name: True,
        }
    code, out = run("prune", tmp_path / "mine", "--dry-run")
    assert (code, out.count(" 1.0 MB\n"), f"{young} 0.0 MB (a process may be at work" in out) == (0, 3, True)
    assert out.endswith("3 left half-written, 3.0 MB\n")
    assert half.exists()
    assert run("prune", "--yes")[0] == 0
    assert (half.exists(), file.exists(), young.exists(), own.exists(), folder.exists()) == (
        False,
        False,
        True,
        True,
        True,
    )
    assert run("prune", tmp_path / "mine", "--yes")[0] == 0
    assert not own.exists()
