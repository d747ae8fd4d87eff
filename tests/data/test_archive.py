"""The archive as a source, and what of it is unpacked."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from tests.helpers.layout import pack, write_layout, write_task
from xglue_harness.benchmark import TASKS, task
from xglue_harness.data.archive import ArchiveSource, unpack
from xglue_harness.data.unpacked import MANIFEST
from xglue_harness.errors import DataError

NER = task("ner")
OTHERS = {
    "xglue_full_dataset/MLQA/en.train": b"{}",
    "xglue_full_dataset/QG/xglue.qg.en.src.train": b"q",
    "xglue_full_dataset/NTG/xglue.ntg.en.src.train": b"n",
    "xglue_full_dataset/../escaped": b"out",
    "../escaped": b"out",
    "/tmp/xglue_escaped": b"out",
    "xglue_full_dataset/NER/../../escaped": b"out",
    "xglue_full_dataset/NER/labels.txt": b"O",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    return pack(folder / "xglue.tar.gz", write_layout(folder / "data"), OTHERS)


def left_in(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST
    )


def test_reads_like_a_folder(archive: Path, root: Path) -> None:
    source = ArchiveSource(archive)
    assert not root.exists(), "nothing is unpacked before it is needed"
    assert source.available(NER) == NER.languages
    loaded = source.load(NER, "test", "de")
    assert len(loaded.dataset) == 4
    assert list(loaded.files) == ["NER/de.test"]
    assert source.content(NER, "test", "de") == (source.folder() / "NER/de.test").read_bytes()
    assert (source.name, source.description, source.is_sample) == ("archive", str(archive), False)
    assert len(source.sha256) == 64
    assert not source.is_official


def test_only_the_files_of_the_eight_tasks_are_unpacked(archive: Path, root: Path) -> None:
    folder = ArchiveSource(archive).folder()
    assert left_in(folder) == sorted(path for spec in TASKS.values() for _, _, path in spec.files())
    unpacked = [f"cache/archives/{folder.name}/{name}" for name in left_in(folder)]
    assert left_in(root.parent) == [*unpacked, f"cache/locks/{folder.name}.lock"]
    assert not Path("/tmp/xglue_escaped").exists()


def test_unpacked_once(archive: Path, root: Path) -> None:
    first = ArchiveSource(archive).folder()
    marker = first / "marker"
    marker.touch()
    assert ArchiveSource(archive).folder() == first
    assert marker.exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_a_truncated_archive_leaves_nothing(share: float, archive: Path, tmp_path: Path, root: Path) -> None:
    content = archive.read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError) as caught:
        ArchiveSource(cut).load(NER, "test", "de")
    assert str(caught.value).startswith(f"{cut}: not a complete gzip tar archive (")
    assert "expected the official xglue_full_dataset.tar.gz" in str(caught.value)
    assert list((root / "archives").iterdir()) == []


def test_a_missing_gzip_checksum_is_noticed(archive: Path, tmp_path: Path, root: Path) -> None:
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:-4])
    with pytest.raises(DataError, match="not a complete gzip tar archive"):
        ArchiveSource(cut).folder()


@pytest.mark.parametrize(
    "content", [b"", b"no archive at all", gzip.compress(b"not a tar" * 400)], ids=["nothing", "text", "no tar"]
)
def test_what_is_no_gzip_tar(content: bytes, tmp_path: Path, root: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.tar\.gz: (not a complete gzip tar|holds no file of the eight tasks)"):
        ArchiveSource(path).folder()
    assert list((root / "archives").iterdir()) == []


def test_an_archive_of_something_else(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("NER/en.train"), io.BytesIO(b""))
    with pytest.raises(
        DataError, match="holds no file of the eight tasks; expected members such as xglue_full_dataset/NER"
    ):
        ArchiveSource(path).folder()


def test_a_partial_archive_says_what_it_has(tmp_path: Path, root: Path) -> None:
    write_task(tmp_path / "data", NER, languages=["en", "de"])
    source = ArchiveSource(pack(tmp_path / "part.tar.gz", tmp_path / "data"))
    assert source.available(NER) == ("de", "en")
    with pytest.raises(DataError, match="has test sets for de, en; select leaves"):
        source.load(NER, "test", "es")


def test_unwritable_cache(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        DataError, match=r"cannot unpack .* \(Not a directory\); set the environment variable XGLUE_CACHE"
    ):
        ArchiveSource(archive).folder()


def test_another_process_may_be_faster(archive: Path, tmp_path: Path) -> None:
    unpack(archive, tmp_path / "target")
    with pytest.raises(OSError, match="not empty"):
        unpack(archive, tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        ArchiveSource(tmp_path / "nowhere.tar.gz")
