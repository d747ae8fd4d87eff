"""The Arrow cache: parsed once, by content, and rebuilt when damaged."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.layout import tagging_file
from xglue_harness.benchmark import task
from xglue_harness.data import cache
from xglue_harness.data.cache import cached_split, split_key
from xglue_harness.data.official import Rows, read, rows_sha256
from xglue_harness.errors import DataError
from xglue_harness.files import cache_root
from xglue_harness.seal import DamagedFileError

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


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "no seal", "other seal", "one bit"])
def test_damage_is_rebuilt_with_a_warning(damage: str, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    make = Maker()
    good = cached_split("k", NER, "NER/en.test", make)
    path = root / "arrow" / "k.arrow"
    content = path.read_bytes()
    bad = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "garbage": b"\x07" * 500,
        "no seal": content[:-64],
        "other seal": content[:-64] + b"0" * 64,
        "one bit": content.replace(b"entest0.1", b"entest0.0", 1),
    }
    path.unlink()
    path.write_bytes(bad[damage])
    with caplog.at_level(logging.WARNING):
        found = cached_split("k", NER, "NER/en.test", make)
    assert (found.dataset[:], found.files) == (good.dataset[:], good.files)
    assert make.calls == 2
    assert f"the cached file {path} is damaged" in caplog.text
    assert path.read_bytes() == content


def test_any_bit_is_missed(root: Path) -> None:
    make = Maker()
    cached_split("k", NER, "NER/en.test", make)
    path = root / "arrow" / "k.arrow"
    content = path.read_bytes()
    cache.sealed_stream(path)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"^its checksum is not its own$"):
            cache.sealed_stream(path)


def test_a_file_under_anothers_name_is_not_taken(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """German rows must never be read for French ones."""
    make = Maker()
    cached_split("de", NER, "NER/de.test", lambda: read(tagging_file(NER, "test", "de", rows=5), NER, "test", "F"))
    (root / "arrow" / "k.arrow").write_bytes((root / "arrow" / "de.arrow").read_bytes())
    found = cached_split("k", NER, "NER/en.test", make)
    assert found.files == {"NER/en.test": rows_sha256(make())}
    assert "k.arrow is damaged" in caplog.text


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


def test_a_cache_that_is_named_needs_no_platformdirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # as on a machine that lacks it
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
