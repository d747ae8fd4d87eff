"""Real text in the official layout, where it lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from xglue_harness.benchmark import TASKS, TaskSpec, task
from xglue_harness.cli.data import app
from xglue_harness.data import open_source
from xglue_harness.data.check import check
from xglue_harness.data.official import read

pytestmark = pytest.mark.real


@pytest.mark.parametrize("spec", TASKS.values(), ids=lambda spec: spec.name)
def test_every_file_there_loads(spec: TaskSpec, real_data: Path) -> None:
    source = open_source(str(real_data))
    for split in ("train", "dev", "test"):
        for language in source.available(spec, split):
            dataset = source.load(spec, split, language).dataset
            assert dataset.column_names == list(spec.columns)
            assert len(dataset) > 0


@pytest.mark.parametrize(
    ("name", "split", "language", "rows"),
    [
        ("pos", "train", "en", 12544),
        ("pos", "test", "vi", 800),
        ("pos", "dev", "zh", 250),
        ("ner", "train", "en", 11590),
        ("ner", "test", "es", 2000),
        ("xnli", "train", "en", 7490),
        ("xnli", "test", "de", 5010),
        ("xnli", "dev", "de", 2489),
        ("nc", "train", "en", 467),
    ],
)
def test_rows_are_those_of_the_provenance(name: str, split: str, language: str, rows: int, real_data: Path) -> None:
    assert len(open_source(str(real_data)).load(task(name), split, language).dataset) == rows


def test_label_counts_are_those_of_the_provenance(real_data: Path) -> None:
    files = {file.path: file for file in check(real_data, [task("ner"), task("xnli"), task("pos")]).files}
    assert files["XNLI/multinli.train.en.tsv"].labels == {"entailment": 2273, "neutral": 3648, "contradiction": 1569}
    german = files["NER/de.test"].labels
    assert german is not None
    assert (german["B-LOC"], german["I-ORG"], german["O"]) == (894, 773, 29143)
    words = files["POS/en.test"].labels
    assert words is not None
    assert sum(words.values()) == 25094


def test_words_with_blanks_are_no_columns(real_data: Path) -> None:
    """XGLUE's Vietnamese words hold blanks where those of newer treebanks have ``_``."""
    for split in ("dev", "test"):
        data = (real_data / f"POS/vi.{split}").read_bytes()
        assert len(read(data.replace(b"_", b" "), task("pos"), split, "vi")) == len(
            read(data, task("pos"), split, "vi")
        )


def test_check_accepts_it_as_partial_alone(real_data: Path) -> None:
    def run(*args: str) -> int:
        return CliRunner().invoke(app, ["check", str(real_data), *args]).exit_code

    assert run("--allow-partial") == 0
    assert run() == 1
