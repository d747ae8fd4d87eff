"""``xglue-harness cache``, over files that the readers and writers of each kind have made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.helpers import tokenizers
from tests.helpers.layout import tagging_file
from tests.helpers.training import pairs
from xglue_harness.benchmark import TASKS
from xglue_harness.cli import app as cli
from xglue_harness.data.cache import cached_split
from xglue_harness.data.official import read
from xglue_harness.data.unpacked import write_manifest
from xglue_harness.probing.state_files import Writer, path_of
from xglue_harness.records.prediction_cache import copy_saved, save_predictions
from xglue_harness.records.predictions import Header, RowPredictions
from xglue_harness.store.token_cache import cached

NER, XNLI = TASKS["ner"], TASKS["xnli"]


def _verify(status: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["cache", "verify"])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A cache with one file of each kind."""
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path))
    data = tagging_file(NER, "test", "en", rows=5)
    cached_split("k" * 64, NER, "NER/en.test", lambda: read(data, NER, "test", "F"))
    cached(XNLI, pairs(3), tokenizers.bert(), "en", 16)
    header = Header(task="xnli", language="en", protocol="finetune", scores=None, rows=1)
    save_predictions(RowPredictions(header, [0], [0], [1], [1], None))
    with Writer({2: path_of("k" * 64, 2)}, {2: 4}, rows=2) as states:
        states.add({2: np.ones((2, 4), np.float32)})
    unpacked = tmp_path / "archives" / ("a" * 64)
    (unpacked / "NER").mkdir(parents=True)
    (unpacked / "NER" / "en.test").write_bytes(data)
    write_manifest(unpacked, unpacked.name, {"NER/en.test": (hashlib.sha256(data).hexdigest(), len(data))})
    found = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    kinds = [unpacked.name, "NER", "arrow", "predictions", "k" * 64, "k" * 64, "tokens"]
    assert [path.parent.name for path in found] == kinds
    return found


def test_all_is_well(files, tmp_path):
    assert _verify() == f"{tmp_path}: 5 files and archives, 0 problems\n"


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 5, 6])
def test_each_damaged_file_is_named(kind, files):
    content = bytearray(files[kind].read_bytes())
    content[len(content) // 2] ^= 16
    files[kind].unlink()  # it may be mapped
    files[kind].write_bytes(content)
    first, last = _verify(status=1).splitlines()
    assert first.startswith(f"{files[kind]}: ")
    assert last.endswith("5 files and archives, 1 problems")


def test_damaged_predictions_are_not_copied(files, tmp_path):
    path = files[3]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="its checksum is not its name"):
        copy_saved(path.stem, tmp_path / "copy.parquet")
    assert not (tmp_path / "copy.parquet").exists()
