"""A folder as a source, and the ways to open a source."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.helpers.layout import pack, sentence_file, write_file, write_layout, write_task
from xglue_harness.benchmark import TASKS, TaskSpec, task
from xglue_harness.data import LoadedSplit, Source, fingerprint, folder, open_source
from xglue_harness.data.folder import FolderSource
from xglue_harness.data.official import read, rows_sha256
from xglue_harness.errors import DataError

NER, XNLI, PAWSX = task("ner"), task("xnli"), task("pawsx")


@pytest.mark.parametrize("spec", TASKS.values(), ids=lambda spec: spec.name)
def test_every_file_of_every_task(spec: TaskSpec, tmp_path: Path) -> None:
    write_task(tmp_path, spec)
    source: Source = FolderSource(tmp_path)
    for split, language, path in spec.files():
        loaded = source.load(spec, split, language)
        assert isinstance(loaded, LoadedSplit)
        assert loaded.dataset.column_names == list(spec.columns)
        assert len(loaded.dataset) == 4
        assert source.content(spec, split, language) == (tmp_path / path).read_bytes()
        assert loaded.files == {path: rows_sha256(read((tmp_path / path).read_bytes(), spec, split, path))}
    assert source.available(spec) == source.available(spec, "dev") == spec.languages
    assert source.available(spec, "train") == ("en",)


def test_what_a_folder_says_of_itself(tmp_path: Path) -> None:
    source = open_source(str(tmp_path))
    assert (source.name, source.description, source.is_sample) == ("folder", str(tmp_path), False)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    write_file(tmp_path, XNLI, "test", "de", b"a\tb\tneutral\n")
    source = FolderSource(tmp_path)
    before = source.load(XNLI, "test", "de")
    write_file(tmp_path, XNLI, "test", "de", b"a\tc\tneutral\n")
    after = source.load(XNLI, "test", "de")
    assert after.dataset[0]["hypothesis"] == "c"
    assert fingerprint(before.files) != fingerprint(after.files)


def test_the_second_load_does_not_read_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path, XNLI, "test", "fr", b"only\tonce\tneutral\n")
    first = FolderSource(tmp_path).load(XNLI, "test", "fr")

    def read(*_: object) -> None:
        pytest.fail("parsed again")

    monkeypatch.setattr(folder, "read", read)
    assert FolderSource(tmp_path).load(XNLI, "test", "fr").dataset[:] == first.dataset[:]


def test_errors_name_path_and_line(tmp_path: Path) -> None:
    path = write_file(tmp_path, PAWSX, "test", "de", sentence_file(PAWSX, "test", "de") + b"9\tlost\n")
    with pytest.raises(DataError) as caught:
        FolderSource(tmp_path).load(PAWSX, "test", "de")
    expected = f"{path}:6: 2 fields; expected 4 fields separated by tabs: id, sentence1, sentence2, label"
    assert str(caught.value) == expected


def test_missing_language_names_those_there_and_the_leaves(tmp_path: Path) -> None:
    write_task(tmp_path, NER, languages=["de", "en", "es"])
    with pytest.raises(DataError) as caught:
        FolderSource(tmp_path).load(NER, "test", "nl")
    assert str(caught.value) == (
        f"{tmp_path}/NER/nl.test: no such file; this folder has test sets for de, en, es; select leaves, "
        "e.g. --tasks xglue_ner_zs_de,xglue_ner_zs_en,xglue_ner_zs_es"
    )


def test_missing_training_file_and_missing_task(tmp_path: Path) -> None:
    source = FolderSource(tmp_path)
    with pytest.raises(DataError, match=r"XNLI/multinli.train.en.tsv: no such file; every encoder is trained on it"):
        source.load(XNLI, "train", "en")
    with pytest.raises(DataError, match=r"XNLI/ur.test: no such file; this folder has no test set of XNLI"):
        source.load(XNLI, "test", "ur")
    assert source.available(XNLI) == source.available(XNLI, "train") == ()
    with pytest.raises(KeyError, match="no language 'xx'"):
        source.load(XNLI, "test", "xx")


def test_a_folder_in_the_folder(tmp_path: Path) -> None:
    write_task(tmp_path / "xglue_full_dataset", NER, languages=["de"])
    (tmp_path / ".DS_Store").touch()
    assert FolderSource(tmp_path).available(NER) == ("de",)
    write_task(tmp_path, NER, languages=["nl"])
    assert FolderSource(tmp_path).available(NER) == ("nl",)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="no such file or folder; expected 'sample', 'hub', a folder in the official layout"
    ):
        open_source(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="no such folder; expected one in the layout of the official XGLUE archive"):
        FolderSource(tmp_path / "nowhere")


def test_ways_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_source(None).name == "hub"
    assert open_source("hub").name == "hub"
    assert open_source({}).name == "hub"
    monkeypatch.setenv("XGLUE_DATA", str(tmp_path))
    assert open_source(None).name == "folder"
    assert open_source("hub").name == "hub"
    monkeypatch.setattr("xglue_harness.data.resolve.SAMPLE", tmp_path)
    sample = open_source("sample")
    assert (sample.name, sample.is_sample) == ("sample", True)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_source("~/data").description == str(tmp_path / "data")
    archive = pack(tmp_path / "a.tar.gz", write_layout(tmp_path / "data", [NER]))
    assert open_source(str(archive)).name == "archive"


def test_fingerprint_is_of_the_set_of_pairs() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert len({fingerprint(files) for files in ({}, {"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": "2"})}) == 5
    assert fingerprint({"a": "1"}) == hashlib.sha256(b"a\x001\n").hexdigest()


@pytest.mark.processes
def test_opening_does_not_import_datasets() -> None:
    import subprocess
    import sys

    code = "import sys, xglue_harness.data, xglue_harness.cli.data as c; print('datasets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
