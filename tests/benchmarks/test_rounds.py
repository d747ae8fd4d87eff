"""Figures of two sides, printed."""

from __future__ import annotations

import math

from benchmarks.rounds import middle, print_difference, print_ratios
from benchmarks.scaling import print_sizes, print_tokenising, ratios


def test_median_and_range() -> None:
    assert middle([3, 1, 2]) == (2, 1, 3)
    assert middle(iter([1.0, 4.0])) == (2.5, 1.0, 4.0)


def test_ratio_is_that_of_the_rounds(capsys) -> None:
    """On a machine that slows down, each round has a ratio of its own."""
    sides = {"ours": [{"s": 1.0}, {"s": 20.0}, {"s": 5.0}], "plain": [{"s": 2.0}, {"s": 10.0}, {"s": 10.0}]}
    print_ratios(sides, 4)
    [line] = capsys.readouterr().out.splitlines()
    assert line.split() == ["s", "ours", "5.000", "plain", "10.000", "ratio", "0.50", "(0.50", "to", "2.00)"]


def test_ratio_to_nothing(capsys) -> None:
    print_ratios({"ours": [{"right": 0.5}], "plain": [{"right": 0.0}]}, 6)
    assert "ratio nan" in capsys.readouterr().out


def test_difference(capsys) -> None:
    print_difference({"ours": [{"loss": 1.0}, {"loss": 2.0}], "plain": [{"loss": 1.5}, {"loss": 1.5}]}, "loss")
    assert capsys.readouterr().out == "loss: ours - plain +0.0000 (-0.5000 to +0.5000)\n"


def _sizes(*rounds: tuple[float, ...]) -> dict[int, list[dict[str, float]]]:
    """Figures at sizes 10, 20, ... from the times of each round; ten subwords a row."""
    sizes: dict[int, list[dict[str, float]]] = {10 * (place + 1): [] for place in range(len(rounds[0]))}
    for times in rounds:
        for size, seconds in zip(sizes, times, strict=True):
            tokens = 10 * size
            sizes[size].append({"total": seconds, "tokens": tokens, "us": 1e6 * seconds / tokens})
    return sizes


def test_growth_is_relative_to_the_smallest_of_the_same_round() -> None:
    by_size = ratios(_sizes((1, 2), (3, 6), (1, 3)))
    assert by_size[10] == (1, 1, 1)
    assert all(math.isclose(a, b) for a, b in zip(by_size[20], (1, 1, 1.5), strict=True))


def test_growth_names_the_largest_deviation(capsys) -> None:
    print_sizes("Training", "rows", _sizes((1, 2.1, 2.4)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training"
    assert lines[4].split() == ["30", "300", "2.400", "0.0800", "8000.00", "0.80", "(0.80", "to", "0.80)"]
    assert lines[5] == "largest deviation from linear: -20.0%, at 30 rows"


def test_tokenising(capsys) -> None:
    print_tokenising({80: [{"first": 2.0, "second": 1.0}]})
    assert capsys.readouterr().out == "Tokenising 80 rows: first 2.000 s, second 1.000 s, ratio 0.50 (0.50 to 0.50)\n"
