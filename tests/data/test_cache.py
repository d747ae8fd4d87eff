"""The Arrow cache: parsed once, by content, and rebuilt when damaged."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.layout import tagging_file
from xglue_harness.benchmark import task
from xglue_harness.data import cache
from xglue_harness.data.cache import cache_root, cached_split, split_key
from xglue_harness.data.official import Rows, read, rows_sha256
from xglue_harness.errors import DataError

NER = task("ner")
DATA = tagging_file(NER, "test", "en", rows=5)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Counts how often the rows are asked for."""

    calls = 0

    def __call__(self) -> Rows:
        self.calls += 1
        return read(DATA, NER, "test", "F")


def test_second_load_does_not_parse(root: Path) -> None:
    make = Maker()
    first, second = cached_split("k", NER, "NER/en.test", make), cached_split("k", NER, "NER/en.test", make)
    assert make.calls == 1
    assert first.dataset[:] == second.dataset[:]
    assert first.files == second.files == {"NER/en.test": rows_sha256(make())}
    assert second.dataset.column_names == ["words", "ner"]
    assert second.dataset[0]["words"] == ["entest0.0", "entest0.1", "entest0.2"]
    assert [file.name for file in (root / "arrow").iterdir()] == ["k.arrow"], "no temporary file is left"


def test_types_and_memory_mapping() -> None:
    dataset = cached_split("k", NER, "NER/en.test", Maker()).dataset
    assert dataset.features["ner"].feature.dtype == "int64"
    assert dataset.features["words"].feature.dtype == "string"
    assert dataset.cache_files, "the rows are in a file, not in memory"
    row = read(b"a\tb\tneutral\n", task("xnli"), "test", "F")
    xnli = cached_split("x", task("xnli"), "XNLI/en.test", lambda: row).dataset
    assert xnli.features["label"].dtype == "int64"
    assert xnli[0] == {"premise": "a", "hypothesis": "b", "label": 1}


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "other rows", "no sha256"])
def test_damage_is_rebuilt_with_a_warning(damage: str, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    make = Maker()
    good = cached_split("k", NER, "NER/en.test", make)
    path = root / "arrow" / "k.arrow"
    content = path.read_bytes()
    bad = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "garbage": b"\x07" * 500,
        "other rows": content.replace(b"xglue_rows", b"xglue_oops"),
        "no sha256": content.replace(b"xglue_sha256", b"xglue_sha999"),
    }
    path.unlink()
    path.write_bytes(bad[damage])
    with caplog.at_level(logging.WARNING):
        found = cached_split("k", NER, "NER/en.test", make)
    assert (found.dataset[:], found.files) == (good.dataset[:], good.files)
    assert make.calls == 2
    assert f"the cached file {path} is damaged" in caplog.text
    assert path.read_bytes() == content


def test_a_stream_that_lacks_its_last_batches_is_damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    monkeypatch.setattr(cache, "_BATCH", 2)
    make = Maker()
    cached_split("k", NER, "NER/en.test", make)
    path = root / "arrow" / "k.arrow"
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_stream(file)
        reader.read_next_batch()
        end = file.tell()
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:end])
    assert len(cached_split("k", NER, "NER/en.test", make).dataset) == 5
    assert make.calls == 2


def test_keys_follow_all_that_decides_the_rows() -> None:
    other_labels = replace(NER, labels=tuple(reversed(NER.labels)))
    other_header = replace(NER, header=("test",))
    keys = {
        split_key("a", NER, "test"),
        split_key("b", NER, "test"),
        split_key("a", NER, "dev"),
        split_key("a", task("pos"), "test"),
        split_key("a", other_labels, "test"),
        split_key("a", other_header, "test"),
    }
    assert len(keys) == 6
    assert split_key("a", NER, "test") in keys


def test_errors_are_not_cached(root: Path) -> None:
    def bad() -> Rows:
        return read(b"word\n", NER, "test", "F")

    for _ in range(2):
        with pytest.raises(DataError, match="F:1: a word without a label"):
            cached_split("k", NER, "NER/en.test", bad)
    assert not (root / "arrow").exists() or not list((root / "arrow").iterdir())


def test_unwritable_cache_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError) as caught:
        cached_split("k", NER, "NER/en.test", Maker())
    message = str(caught.value)
    assert message.startswith(f"cannot write the cache folder {tmp_path}/file/arrow (Not a directory)")
    assert "set the environment variable XGLUE_CACHE to a folder that can be written" in message


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("XGLUE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_root() == Path("/somewhere/xglue_harness")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_root() == Path("/home/someone/.cache/xglue_harness")
