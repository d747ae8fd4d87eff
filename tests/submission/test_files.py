"""Prediction files: what is written is read again, what may differ, and each error with its line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xglue_harness.benchmark import TASKS, Kind, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.submission.files import read, relative_path, render

NC, XNLI, PAWSX, WPR, NER, POS = (TASKS[name] for name in ("nc", "xnli", "pawsx", "wpr", "ner", "pos"))

checked = settings(deadline=None, max_examples=100)


def sizes_of(predictions: Sequence[Any]) -> list[int]:
    return [len(item) if isinstance(item, list) else 1 for item in predictions]


@pytest.mark.parametrize("spec", TASKS.values(), ids=lambda spec: spec.name)
def test_what_is_written_is_read_again(spec: TaskSpec) -> None:
    label = st.integers(0, len(spec.labels) - 1)
    row = st.lists(label, min_size=1, max_size=6) if spec.kind is Kind.TAGGING else label

    @checked
    @given(st.lists(row, min_size=1, max_size=12), st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.integers(0, 3))
    def check(predictions: list[Any], end: bytes, mark: bool, blanks: int) -> None:
        data = render(spec, predictions)
        assert read(data, spec, sizes_of(predictions), "x") == predictions
        other = b"\xef\xbb\xbf" * mark + data.rstrip(b"\n").replace(b"\n", b" \t\n").replace(b"\n", end) + end * blanks
        other = other.replace(b" \t" + end + b" \t" + end, end + b"\t" + end)
        assert read(other, spec, sizes_of(predictions), "x") == predictions

    check()


@pytest.mark.parametrize(
    ("name", "predictions", "expected"),
    [
        ("nc", [0, 9], "foodanddrink\nautos\n"),
        ("xnli", [0, 1, 2], "entailment\nneutral\ncontradiction\n"),
        ("pawsx", [0, 1], "0\n1\n"),
        ("qam", [0, 1], "0\n1\n"),
        ("qadsm", [0, 1], "Bad\nGood\n"),
        ("wpr", [4, 0], "4\n0\n"),
        ("ner", [[0, 2], [1]], "O\nI-PER\n\nB-PER\n\n"),
        ("pos", [[16]], "X\n\n"),
    ],
)
def test_labels_are_spelt_as_in_the_data(name: str, predictions: list[Any], expected: str) -> None:
    assert render(TASKS[name], predictions) == expected.encode()


def test_every_spelling_of_the_data_is_read() -> None:
    assert read(b"contradictory\nneutral", XNLI, [1, 1], "x") == [2, 1]
    assert read(b"same\n0\n1\n", PAWSX, [1] * 3, "x") == [1, 0, 1]
    assert read(b"Perfect\n3\n", WPR, [1] * 2, "x") == [4, 3]


def test_paths_are_named_after_the_official_folders() -> None:
    assert relative_path(PAWSX, "de") == "PAWSX/de.prediction"


@pytest.mark.parametrize(
    ("spec", "data", "sizes", "message"),
    [
        (
            XNLI,
            b"",
            [1, 1],
            "x:1: the file ends after 0 of 2 labels; expected one a row of the data, and no header line",
        ),
        (XNLI, b"neutral\n\n\n", [1, 1], "x:2: the file ends after 1 of 2 labels"),
        (XNLI, b"neutral\n" * 3, [1, 1], "x:3: 3 labels for 2 rows; expected one a row of the data"),
        (XNLI, b"neutral\n\nneutral\n", [1, 1], "x:2: an empty line; expected a label"),
        (
            XNLI,
            b"neutral\nmaybe\n",
            [1, 1],
            "x:2: unknown label 'maybe'; expected one of entailment, neutral, contradiction, contradictory",
        ),
        (XNLI, b"neutral\nne\xffutral\n", [1, 1], r"x:2: invalid UTF-8: byte 0xff at byte 3; expected UTF-8 text"),
        (WPR, b"3.5\n", [1], "x:1: unknown label '3.5'"),
        (NC, b"health sports\n", [1], "x:1: unknown label 'health sports'"),
        (NER, b"", [1], "x:1: the file ends after 0 of 1 sentences; expected as many as the data have"),
        (NER, b"O\n\n", [1, 2], "x:2: the file ends after 1 of 2 sentences; expected"),
        (NER, b"O\n\nO\n\n", [1, 2], "x:4: sentence 2 ends after 1 of 2 labels; expected one a word"),
        (NER, b"O\n\nO\nO\n\n", [2, 2], "x:2: sentence 1 ends after 1 of 2 labels"),
        (NER, b"O\nO\n\nO\n\n", [1, 1], "x:2: more labels than words in sentence 1; expected a blank line after 1"),
        (NER, b"O\n\n\nO\n", [1, 1], "x:3: an empty line; expected the first label of sentence 2"),
        (NER, b"\nO\n", [1], "x:1: an empty line; expected the first label of sentence 1"),
        (NER, b"O\n\nO\n", [1], "x:3: a sentence after the last one; expected 1, as many as the data have"),
        (NER, b"O\n\nB\n", [1, 1], "x:3: unknown label 'B'; expected one of O, B-PER"),
        (POS, b"NOUN\n\xfe\n", [2], "x:2: invalid UTF-8"),
    ],
)
def test_a_bad_line_is_named(spec: TaskSpec, data: bytes, sizes: list[int], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(data, spec, sizes, "x")
    assert str(caught.value).startswith(message)
