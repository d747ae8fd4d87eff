"""Sentences by language, from files and from test sets."""

from __future__ import annotations

import pytest

from xglue_harness.analyze.texts import read_texts, task_texts
from xglue_harness.data.folder import file_sha256
from xglue_harness.errors import DataError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "en.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (tmp_path / "de.txt").write_text("eins\nzwei\ndrei", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no language\n", encoding="utf-8")
    return tmp_path


def test_a_folder_is_parallel_line_by_line(folder):
    found = read_texts(folder, None, None)
    assert found.by_language == {"de": ["eins", "zwei", "drei"], "en": ["one", "two", "three"]}
    assert found.parallel
    assert found.files == {name: file_sha256(folder / name) for name in ("de.txt", "en.txt")}
    assert read_texts(folder, ["en"], 2).by_language == {"en": ["one", "two"]}


def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path):
    (tmp_path / "en.txt").write_text("a\u2028b\x0cc\nd\u0085e\n", encoding="utf-8")
    assert read_texts(tmp_path, None, None).by_language["en"] == ["a\u2028b\x0cc", "d\u0085e"]


def test_a_file_says_its_language_by_its_name(folder):
    assert read_texts(folder / "de.txt", None, None).by_language == {"de": ["eins", "zwei", "drei"]}
    assert not read_texts(folder / "de.txt", None, None).parallel
    assert list(read_texts(folder / "notes.txt", None, None).by_language) == ["en"]
    assert list(read_texts(folder / "notes.txt", ["fr"], None).by_language) == ["fr"]


def test_what_lacks_is_named(folder, tmp_path):
    with pytest.raises(DataError, match=r"has no fr\.txt, sw\.txt"):
        read_texts(folder, ["en", "fr", "sw"], None)
    with pytest.raises(DataError, match="no such file or folder"):
        read_texts(tmp_path / "none", None, None)
    (tmp_path / "fr.txt").write_text("un\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"different numbers of lines.*'fr': 1"):
        read_texts(folder, None, None)
    (tmp_path / "fr.txt").write_text("un\n\ntrois\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"fr\.txt line 2 is empty"):
        read_texts(folder, None, None)
    (tmp_path / "fr.txt").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match=r"fr\.txt can't be read"):
        read_texts(folder, None, None)


def test_texts_of_a_task_are_whole_rows():
    xnli = task_texts("xnli", "sample", ["en", "sw"], 5)
    assert [len(texts) for texts in xnli.by_language.values()] == [5, 5]
    assert xnli.parallel
    assert set(xnli.files) == {"XNLI/en.test", "XNLI/sw.test"}
    pos = task_texts("pos", "sample", ["th"], None)
    assert not pos.parallel
    assert len(pos.by_language["th"]) == 60
    assert " " in pos.by_language["th"][0]
    assert len(task_texts("nc", "sample", None, 3).by_language) == 5


def test_a_task_or_language_that_is_not_there_is_named():
    with pytest.raises(DataError, match="no task 'nq'; there are nc, xnli"):
        task_texts("nq", "sample", None, None)
    with pytest.raises(DataError, match="has no test set of QAM in sw"):
        task_texts("qam", "sample", ["de", "sw"], None)
