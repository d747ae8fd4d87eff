"""Languages told apart by linear discriminant analysis, against scikit-learn's."""

import sys

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from xglue_analysis.errors import AnalysisError
from xglue_analysis.separability import SHRINKAGE, separability

module = sys.modules["xglue_analysis.separability"]  # a function of that name hides it


def _states(apart, n=60, d=5, languages=("en", "de", "sw"), seed=0):
    random = np.random.default_rng(seed)
    texts = 3 * random.normal(size=(n, d))
    return {name: texts + random.normal(size=(n, d)) + apart * random.normal(size=d) for name in languages}


class _Covariance:
    def __init__(self, shrunk):
        self.shrunk = shrunk

    def fit(self, rows):
        self.covariance_ = np.cov(rows.T, bias=True) + self.shrunk * np.eye(rows.shape[1])
        return self


def _by_sklearn(states, folds, seed, said=None):
    """The same folds, with the covariance of the probe: within languages, shrunk by a share of the mean of all.

    ``said``, ``[n, languages]``, is which language each sentence is said to be of.
    """
    names, n = list(states), len(next(iter(states.values())))
    fold = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).numpy() % folds
    right = np.zeros((n, len(names)), bool)
    said = np.tile(np.arange(len(names)), (n, 1)) if said is None else said
    for number in range(folds):
        train = np.concatenate([states[name][fold != number] for name in names])
        labels = said[fold != number].T.flatten()
        shrunk = SHRINKAGE * np.trace(np.cov(train.T, bias=True)) / train.shape[1]

        model = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=_Covariance(shrunk), priors=[1 / 3] * 3)
        model.fit(train, labels)
        for place, name in enumerate(names):
            right[fold == number, place] = model.predict(states[name][fold == number]) == said[fold == number, place]
    return right


@pytest.mark.parametrize("apart", [0.0, 0.5, 2.0])
def test_it_is_linear_discriminant_analysis(apart):
    states = _states(apart)
    found = separability(states, folds=4, seed=7)
    expected = _by_sklearn(states, 4, 7)
    assert np.array_equal(np.stack([found.right[name].numpy() for name in states], 1), expected)
    assert found.accuracy == pytest.approx(expected.mean())
    assert found.languages["de"] == pytest.approx(expected[:, 1].mean())
    assert found.chance == pytest.approx(1 / 3)


def test_languages_far_apart_are_told_and_equal_ones_are_not():
    assert separability(_states(20.0)).accuracy == 1
    states = _states(0.0, n=400)
    found = separability(states, permutations=60)
    assert abs(found.accuracy - 1 / 3) < 0.06
    assert found.null.score == 0
    assert found.null.p > 0.05


def test_the_null_shuffles_languages_within_a_sentence():
    found = separability(_states(3.0), permutations=39)
    assert found.null.p == 1 / 40
    assert found.null.mean == pytest.approx(1 / 3, abs=0.06)
    assert 0.5 < found.null.score < 1
    assert separability(_states(3.0), permutations=39).null == found.null


@pytest.mark.parametrize("block", [1, 1 << 22])
def test_the_null_is_that_probe_fitted_anew_for_each_shuffling(block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    states = _states(1.0, n=61)  # folds of different sizes
    generator = torch.Generator().manual_seed(7)
    torch.randperm(61, generator=generator)  # the folds
    drawn = [
        _by_sklearn(states, 4, 7, torch.rand(61, 3, generator=generator).argsort(1).numpy()).mean() for _ in range(9)
    ]
    found = separability(states, folds=4, permutations=9, seed=7)
    assert found.null.mean == pytest.approx(np.mean(drawn))
    assert found.null.threshold == pytest.approx(max(*drawn, found.accuracy))


def test_more_dimensions_than_sentences():
    found = separability(_states(4.0, n=20, d=80))
    assert found.accuracy > 0.9


@pytest.mark.parametrize(
    ("states", "folds", "message"),
    [
        ({"en": np.eye(6)}, 5, "two languages"),
        ({"en": np.eye(6), "de": np.eye(6)[:5]}, 5, "two languages"),
        ({"en": np.eye(6), "de": np.eye(6)}, 7, "7 folds of 6 sentences"),
        ({"en": np.eye(6), "de": np.full((6, 6), np.nan)}, 2, "finite"),
    ],
)
def test_what_can_not_be_probed_is_refused(states, folds, message):
    with pytest.raises(AnalysisError, match=message):
        separability(states, folds=folds)
