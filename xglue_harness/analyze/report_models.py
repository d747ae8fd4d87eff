r"""Does a measure go with the score across languages? A mixed model over backbones, with a permutation p.

With :math:`y_{bl}` the score of backbone :math:`b` in language :math:`l` and :math:`x_{bl}` the measure less its mean
over the backbone's languages, in units of its standard deviation there:

.. math:: y_{bl} = \alpha + \beta x_{bl} + u_b + e_{bl}, \qquad u_b \sim N(0, \tau^2), \; e_{bl} \sim N(0, \sigma^2)

Centring takes away what differs between backbones, so that :math:`\beta` is of languages alone (Mundlak 1978). All
backbones have the same languages here; then :math:`\hat\beta = \sum x y / \sum x^2`, whatever the variances are.

The model takes a language's errors in two backbones for independent. They are not: a hard language is hard for all.
So its standard error is shown, but the interval is from leaving out one language after the other (jackknife), and p
from shuffling the languages in the same way in all backbones, which keeps what backbones share.

Source:
    Laird and Ware 1982, Random-effects models for longitudinal data; Mundlak 1978, On the pooling of time series and
    cross section data.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from xglue_harness.analyze.correlate import PERMUTATIONS
from xglue_harness.leaderboard.ranking.significance import holm
from xglue_harness.leaderboard.ranking.statistics import LEVEL

LEAST_LANGUAGES = 5
"""Below, no p could be 0.05: 4 languages have 24 orders, and one is as far out as its reverse."""
LEAST_BACKBONES = 3
"""Below, a variance between backbones has one degree of freedom, or none."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mixed:
    """What statsmodels' MixedLM says.

    Attributes:
        slope: estimate of β.
        stderr: its standard error under the model.
        between: τ, between backbones.
        within: σ, what is left.
        converged: whether the fit did.
    """

    slope: float
    stderr: float
    between: float
    within: float
    converged: bool


@dataclass(frozen=True)
class Association:
    """How a measure goes with the scores of a task across languages.

    Attributes:
        task: short name.
        measure: name.
        backbones: how many.
        languages: those that all backbones have, without English.
        slope: β, percentage points of score for one standard deviation of the measure; ``None``: too few, see ``note``.
        low: lower end of its 95% interval, by the jackknife over languages.
        high: upper end.
        correlation: Pearson's, within backbones.
        p: two-sided, by permutation.
        p_holm: the same, adjusted for all measures and tasks of the report.
        permutations: how many were gone through.
        mixed: the mixed model; ``None``: too few backbones, or statsmodels is not there.
        note: what is missing, and why; may be empty.
    """

    task: str
    measure: str
    backbones: int
    languages: tuple[str, ...]
    slope: float | None = None
    low: float | None = None
    high: float | None = None
    correlation: float | None = None
    p: float | None = None
    p_holm: float | None = None
    permutations: int = 0
    mixed: Mixed | None = None
    note: str = ""


Table = Mapping[str, Mapping[str, tuple[float, float]]]
"""Measure and score (in percent) by backbone and language."""


def associate(task: str, measure: str, table: Table, *, seed: int = 0) -> Association:
    """Relate a measure to the score.

    Args:
        task: short name.
        measure: name.
        table: of both, without the language of the training.
        seed: of the permutations that are drawn where there are too many to go through all.
    """
    common = sorted(set.intersection(*({*own} for own in table.values()))) if table else []
    found = Association(task, measure, len(table), tuple(common))
    if len(common) < LEAST_LANGUAGES:
        return replace(found, note=f"too few: {len(common)} languages, expected {LEAST_LANGUAGES} that all have")
    x, y = (np.array([[own[language][i] for language in common] for own in table.values()]) for i in (0, 1))
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    if (np.ptp(x, axis=1) < 1e-12).all() or np.ptp(y) < 1e-12:
        return replace(found, note="the measure or the score is the same in all languages")
    spread = math.sqrt(float((x**2).mean()))
    x = x / spread
    slope = _slope(x, y)
    low, high = jackknife_interval(x, y)
    p, permutations = permutation_p(x, y, seed=seed)
    levels = np.array([np.mean([own[language][1] for language in common]) for own in table.values()])
    mixed, note = _mixed(x, y + levels[:, None])
    return replace(
        found,
        slope=slope,
        low=low,
        high=high,
        correlation=float((x * y).sum() / math.sqrt(float((x**2).sum() * (y**2).sum()))),
        p=p,
        permutations=permutations,
        mixed=mixed,
        note=note,
    )


def adjusted(associations: Sequence[Association]) -> list[Association]:
    """With p adjusted (Holm) for all that have one.

    Args:
        associations: of one report.
    """
    tested = [item.p for item in associations if item.p is not None]
    holms = iter(holm(tested))
    return [item if item.p is None else replace(item, p_holm=next(holms)) for item in associations]


def _slope(x: Floats, y: Floats) -> float:
    """Of values that are centred within backbones, ``[backbones, languages]``; NaN where x does not vary."""
    below = float((x**2).sum())
    return float((x * y).sum()) / below if below > 0 else math.nan


def jackknife_interval(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    """Student's 95% interval of the slope, its standard error by leaving out one language at a time.

    Args:
        x: ``[backbones, languages]``.
        y: the same.

    Source:
        Tukey 1958, Bias and confidence in not quite large samples.
    """
    n = x.shape[1]
    slopes = []
    for left_out in range(n):
        kept = [np.delete(values, left_out, axis=1) for values in (x, y)]
        slopes.append(_slope(*(values - values.mean(1, keepdims=True) for values in kept)))
    stderr = math.sqrt((n - 1) / n * float(((np.array(slopes) - np.mean(slopes)) ** 2).sum()))
    if not math.isfinite(stderr):
        return None, None
    slope, reach = _slope(x, y), float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * stderr
    return slope - reach, slope + reach


def permutation_p(x: Floats, y: Floats, *, permutations: int = PERMUTATIONS, seed: int = 0) -> tuple[float, int]:
    """Two-sided p of the slope: languages are shuffled within backbones, in all of them in the same way.

    Args:
        x: ``[backbones, languages]``, centred within backbones.
        y: the same.
        permutations: to draw; all orders are gone through where there are no more than that.
        seed: of the draws.

    Returns:
        p, and the number of permutations.
    """
    n = x.shape[1]
    products = x.T @ y  # of one language's measure and another's score, summed over backbones
    observed = abs(float(products.trace()))
    slack = 1e-9 * float(np.abs(products).max())
    every = math.factorial(n) <= permutations
    if every:
        orders = np.array(list(itertools.permutations(range(n))))
    else:
        orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)
    reached = int((np.abs(products[np.arange(n), orders].sum(1)) >= observed - slack).sum())
    return (reached / len(orders) if every else (reached + 1) / (len(orders) + 1)), len(orders)


def _mixed(x: Floats, y: Floats) -> tuple[Mixed | None, str]:
    """The mixed model, or why there is none.

    Args:
        x: ``[backbones, languages]``, centred and scaled.
        y: scores, not centred.
    """
    backbones, languages = x.shape
    if backbones < LEAST_BACKBONES:
        return None, f"no mixed model: {backbones} of the {LEAST_BACKBONES} backbones that one takes"
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM
    except ImportError:
        return None, "no mixed model: pip install 'xglue-harness[report]'"
    design = np.column_stack([np.ones(x.size), x.ravel()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a variance at its boundary: 0 is a result; convergence is looked at
        try:
            fit: Any = MixedLM(y.ravel(), design, groups=np.repeat(np.arange(backbones), languages)).fit(reml=True)
        except np.linalg.LinAlgError:
            return None, "no mixed model: its fit is singular"
    mixed = Mixed(
        slope=float(fit.fe_params[1]),
        stderr=float(fit.bse_fe[1]),
        between=math.sqrt(max(0.0, float(np.asarray(fit.cov_re)[0, 0]))),
        within=math.sqrt(float(fit.scale)),
        converged=bool(fit.converged),
    )
    return mixed, "" if mixed.converged else "the mixed model's fit did not converge"
