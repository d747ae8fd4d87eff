"""Neighbours and translations, against counts of the authors' formulas by brute force."""

import numpy as np
import pytest
import torch

from xglue_analysis.errors import AnalysisError
from xglue_analysis.neighbours import dali, mexa, mutual_knn, nearest, overlaps

RANDOM = np.random.default_rng(5)


def _cosine(a, b):
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def _pair(n=24, d=6, noise=0.6):
    x = RANDOM.normal(size=(n, d))
    return x, x + noise * RANDOM.normal(size=(n, d))


def _near(x, i, k):
    order = sorted((j for j in range(len(x)) if j != i), key=lambda j: -_cosine(x[i], x[j]))
    return set(order[:k])


@pytest.mark.parametrize("k", [1, 4, 10])
def test_mutual_neighbours_are_the_overlap_of_sets(k):
    x, y = _pair()
    expected = np.mean([len(_near(x, i, k) & _near(y, i, k)) / k for i in range(len(x))])
    assert mutual_knn(x, y, k) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected < 1
    assert mutual_knn(x, 3 * x, k) == 1


def test_shuffled_neighbours_are_those_of_shuffled_sentences():
    x, y = _pair()
    a, b, order = nearest(x, 5), nearest(y, 5), torch.randperm(len(x))
    expected = mutual_knn(x, y[order.numpy()], 5)
    assert float(overlaps(a.member, b, order).mean()) == pytest.approx(expected, abs=1e-12)


def test_unrelated_sentences_share_k_of_all_others():
    shares = [mutual_knn(RANDOM.normal(size=(60, 8)), RANDOM.normal(size=(60, 8))) for _ in range(200)]
    assert np.mean(shares) == pytest.approx(10 / 59, abs=4 * np.std(shares) / 200**0.5)


def test_a_space_of_one_vector_has_no_neighbours():
    constant = np.ones((30, 4))
    assert mutual_knn(constant, constant) == 0
    assert mexa(constant, constant) == 0


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_mexa_is_the_authors_count(noise):
    x, y = _pair(noise=noise)
    c = np.array([[_cosine(a, b) for b in y] for a in x])
    wins = [
        c[i, i] > max(c[i, j] for j in range(len(x)) if j != i)
        and c[i, i] > max(c[j, i] for j in range(len(x)) if j != i)
        for i in range(len(x))
    ]
    assert mexa(x, y) == pytest.approx(np.mean(wins), abs=1e-12)
    assert mexa(x, y) == mexa(y, x)


def test_mexa_of_a_small_example():
    english = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert mexa(english, english) == 1
    # The second finds the third first, and the third the second.
    assert mexa(english, [[1.0, 0.1], [0.9, 1.0], [0.1, 1.0]]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("strict", [False, True])
def test_dali_is_the_authors_count(strict):
    x, y = _pair(n=30, d=4, noise=0.5)
    samples = [row // 3 for row in range(30)]
    won = []
    for sample in range(10):
        rows = range(3 * sample, 3 * sample + 3)
        good = all(_cosine(x[i], y[i]) > _cosine(x[i], y[j]) for i in rows for j in rows if i != j)
        if strict:
            within = (max(_cosine(x[i], x[j]), _cosine(y[i], y[j])) for i in rows for j in rows if i != j)
            own = [_cosine(x[i], y[i]) for i in rows for j in rows if i != j]
            good = good and all(mine > other for mine, other in zip(own, within, strict=True))
        won.append(good)
    assert dali(x, y, samples, strict=strict) == np.mean(won)
    assert 0 < np.mean(won) < 1


def test_samples_of_one_option_do_not_count():
    x, y = _pair(n=4)
    assert np.isnan(dali(x, y, [0, 1, 2, 3]))
    assert dali(x, x, [0, 0, 1, 2]) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mutual_knn(np.ones((5, 2)), np.ones((5, 2)), 4), "4 neighbours among 5 sentences"),
        (lambda: mutual_knn(np.eye(20), np.eye(21)), "20 and 21 sentences"),
        (lambda: mexa(np.eye(3), np.eye(3)[:, :2]), r"shapes \(3, 3\) and \(3, 2\)"),
        (lambda: mexa(np.full((3, 2), np.nan), np.eye(3)[:, :2]), "finite"),
        (lambda: dali(np.eye(3), np.eye(3), [0, 0]), "3 and 3 and 2 sentences"),
    ],
)
def test_what_can_not_be_computed_is_refused(call, message):
    with pytest.raises(AnalysisError, match=message):
        call()
