"""IsoScore against the steps of its paper, and on the cases that the paper works out."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from xglue_analysis.errors import AnalysisError
from xglue_analysis.isotropy import iso_score, mean_cosine

RANDOM = np.random.default_rng(3)


def _by_steps(points):
    """Algorithm 1 of Rudman et al. 2022, step by step, ``points`` being [n, d]."""
    moved = PCA(n_components=points.shape[1]).fit_transform(points)
    diagonal = np.diag(np.cov(moved.T))
    d = len(diagonal)
    scaled = np.sqrt(d) * diagonal / np.linalg.norm(diagonal)
    defect = np.linalg.norm(scaled - np.ones(d)) / np.sqrt(2 * (d - np.sqrt(d)))
    used = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    return (d * used - 1) / (d - 1)


@pytest.mark.parametrize("d", [2, 5, 12])
def test_it_is_the_papers_algorithm(d):
    points = RANDOM.normal(size=(80, d)) * RANDOM.uniform(0.1, 3, d) + 7
    assert iso_score(points) == pytest.approx(_by_steps(points), abs=1e-10)


@pytest.mark.parametrize("used", [1, 3, 7, 10])
def test_so_many_of_ten_dimensions_are_used_alike(used):
    """Section 4: variance alike in k of d dimensions gives (k - 1) / (d - 1)."""
    points = np.zeros((2 * used, 10))
    for place in range(used):
        points[2 * place, place], points[2 * place + 1, place] = 1, -1
    assert iso_score(points) == pytest.approx((used - 1) / 9, abs=1e-10)


def test_it_sees_neither_place_nor_scale_nor_rotation():
    points = RANDOM.normal(size=(60, 6)) * RANDOM.uniform(0.1, 3, 6)
    turned, _ = np.linalg.qr(RANDOM.normal(size=(6, 6)))
    for other in (points + 100, 1e-3 * points, points @ turned):
        assert iso_score(other) == pytest.approx(iso_score(points), abs=1e-8)


def test_fewer_sentences_than_dimensions_leave_directions_unused():
    assert 0.05 < iso_score(RANDOM.normal(size=(8, 40))) < 6 / 39  # 7 directions are left after centring
    assert np.isnan(iso_score(np.full((5, 3), 2.5)))


def test_mean_cosine_is_the_mean_over_pairs():
    points = RANDOM.normal(size=(12, 5)) + 1
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(12) for j in range(12) if i != j]
    assert mean_cosine(points) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_what_is_no_cloud_is_refused():
    for value in (np.ones(4), np.ones((1, 4)), np.full((3, 3), np.inf)):
        with pytest.raises(AnalysisError, match=r"shape"):
            iso_score(value)
