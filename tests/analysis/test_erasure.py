"""Maps that take language out of states, against what their papers promise."""

import numpy as np
import pytest
import torch

from xglue_analysis.erasure import Affine, Moments, centering, erasure, random_erasure, random_shifts
from xglue_analysis.errors import AnalysisError


@pytest.fixture(scope="module")
def states():
    random = np.random.default_rng(0)
    mixing = random.normal(size=(8, 8))
    places = 3 * random.normal(size=(3, 8))
    return {
        name: torch.from_numpy(random.normal(size=(n, 8)) @ mixing + places[i])
        for i, (name, n) in enumerate({"en": 300, "de": 200, "sw": 250}.items())
    }


@pytest.fixture(scope="module")
def moments(states):
    return {name: Moments.of(x[:50]) + Moments.of(x[50:]) for name, x in states.items()}


def test_moments_add_up(states, moments):
    assert torch.allclose(moments["de"].mean, states["de"].mean(0))
    assert torch.allclose(moments["de"].products, states["de"].T @ states["de"])


def test_centering_moves_means_onto_english(states, moments):
    shifts = centering(moments, "en")
    assert sorted(shifts) == ["de", "sw"]
    for name, shift in shifts.items():
        assert torch.allclose(shift(states[name]).mean(0), states["en"].mean(0), atol=1e-5)
        assert torch.allclose(shift(states[name]) - states[name], shift.shift, atol=1e-5)


def test_random_shifts_are_as_long(moments):
    shifts = centering(moments, "en")
    random = random_shifts(shifts, 1)
    for name, shift in shifts.items():
        assert float(random[name].shift.norm()) == pytest.approx(float(shift.shift.norm()))
        cosine = torch.cosine_similarity(random[name].shift, shift.shift, dim=0)
        assert abs(float(cosine)) < 0.95
    assert not torch.equal(random["de"].shift, random_shifts(shifts, 2)["de"].shift)


def _balanced(states, n=200):
    return torch.cat([x[:n] for x in states.values()]), np.repeat(np.eye(len(states)), n, axis=0)


def _told(x, one_hot):
    """R^2 of the best linear function; it reads no direction that is there by rounding only."""
    x, y = x - x.mean(0), one_hot - one_hot.mean(0)
    weights = np.linalg.lstsq(x, y, rcond=1e-6)[0]
    return 1 - np.square(y - x @ weights).sum() / np.square(y).sum()


def test_after_erasure_no_linear_function_tells_the_language(states):
    states = {name: x[:200] for name, x in states.items()}
    x, one_hot = _balanced(states)
    erase = erasure({name: Moments.of(one) for name, one in states.items()})
    assert erase.rank == 2
    before = _told(x.numpy(), one_hot)
    after = erase(x).numpy()
    assert before > 0.5
    assert _told(after, one_hot) == pytest.approx(0, abs=1e-6)
    for name in states:
        assert torch.allclose(erase(states[name]).mean(0), x.mean(0), atol=1e-5)


def test_it_is_the_least_change_that_does_so(states):
    """LEACE's theorem: of the affine maps after which covariance with the language is 0, it moves states the least."""
    states = {name: x[:200] for name, x in states.items()}
    x, _ = _balanced(states)
    erase = erasure({name: Moments.of(one) for name, one in states.items()})
    means = torch.stack([one.mean(0) for one in states.values()]) - x.mean(0)
    basis = torch.linalg.svd(means.T, full_matrices=False)[0][:, :2]
    orthogonal = x - (x - x.mean(0)) @ basis @ basis.T  # another map that does so
    assert torch.allclose((orthogonal[:200] - orthogonal.mean(0)).mean(0), torch.zeros(8).double(), atol=1e-8)
    moved, other = ((changed.double() - x).square().sum() for changed in (erase(x), orthogonal))
    assert moved < other


def test_the_control_removes_as_many_dimensions_of_something_else(states, moments):
    control = random_erasure(moments, 2, seed=5)
    removal = control.removal
    assert torch.allclose(removal @ removal, removal, atol=1e-8)  # a projection
    assert torch.linalg.matrix_rank(removal) == control.rank == 2
    x, one_hot = _balanced(states)
    left = control(x).numpy()
    assert _told(left, one_hot) > 0.3


def test_directions_that_no_state_moves_in_are_left_alone():
    random = np.random.default_rng(2)
    flat = {
        name: torch.from_numpy(np.pad(random.normal(size=(50, 3)) + i, ((0, 0), (0, 4)))) for i, name in enumerate("ab")
    }
    erase = erasure({name: Moments.of(x) for name, x in flat.items()})
    assert erase.rank == 1
    assert torch.isfinite(erase.removal).all()
    assert torch.equal(erase(flat["a"])[:, 3:], flat["a"][:, 3:])


def test_states_keep_their_type(moments):
    x = torch.ones(2, 3, 8, dtype=torch.bfloat16)
    for change in (centering(moments, "en")["de"], erasure(moments)):
        assert change(x).dtype == torch.bfloat16
        assert change(x).shape == x.shape
    assert torch.equal(Affine(torch.zeros(8).double())(x), x)


def test_one_language_has_nothing_to_be_told_from(moments):
    with pytest.raises(AnalysisError, match="states of en"):
        erasure({"en": moments["en"]})
    with pytest.raises(AnalysisError, match="no states of xx"):
        centering(moments, "xx")
