"""Do 95% intervals hold the truth 95 times in 100, and how often are equal backbones told apart?

Simulated leaderboards: a row is right where ``ability + difficulty of the row + luck of the training + noise > 0``, all
Gaussian, so that the true score, over all trainings and rows there could be, is a Gaussian probability in closed form.
Rows are shared by all backbones, and by all languages where they are translations.

    python -m benchmarks.interval_coverage --leaderboards 2000
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from benchmarks.rounds import parser_of
from xglue_harness.leaderboard.ranking.bootstrap import bootstrap
from xglue_harness.leaderboard.ranking.significance import compare_all
from xglue_harness.leaderboard.ranking.statistics import Block, Estimate, TaskRuns, estimate

ROW, SEED, NOISE = 1.0, 0.06, 0.5
"""Standard deviations of a row's difficulty, a training's luck (1.5 points of the score) and the rest."""


@dataclass(frozen=True)
class Setting:
    """How simulated leaderboards are drawn.

    Attributes:
        seeds: trainings of each backbone.
        rows: test rows of a language.
        languages: how many.
        parallel: whether the rows of the languages are translations of each other.
        tasks: how many tasks the score is a mean over.
        luck: standard deviation of a training.
        uneven: whether every other backbone has three times that.
    """

    seeds: tuple[int, ...]
    rows: int = 300
    languages: int = 3
    parallel: bool = False
    tasks: int = 1
    luck: float = SEED
    uneven: bool = False

    @property
    def lucks(self) -> np.ndarray:
        """Standard deviation of each backbone's trainings."""
        return self.luck * np.where(self.uneven & (np.arange(len(self.seeds)) % 2 == 1), 3.0, 1.0)

    def __str__(self) -> str:
        kind = "parallel" if self.parallel else "separate"
        seeds = "/".join(map(str, self.seeds))
        luck = f"{self.luck}{' uneven' * self.uneven}"
        return f"{seeds} seeds, {self.tasks} x {self.languages} {kind} languages of {self.rows} rows, luck {luck}"


def draw(setting: Setting, abilities: Sequence[float], generator: np.random.Generator) -> TaskRuns:
    """One task of a leaderboard, with a backbone for each ability."""
    backbones = np.repeat(np.arange(len(abilities)), setting.seeds)
    runs, shape = len(backbones), (setting.rows, len(backbones), setting.languages)
    ability = np.asarray(abilities)[backbones][:, None]
    luck = generator.normal(0, 1, (runs, 1)) * setting.lucks[backbones][:, None]
    shared = generator.normal(0, ROW, (setting.rows, 1, 1 if setting.parallel else setting.languages))
    right = (ability + luck + shared + generator.normal(0, NOISE, shape) > 0).astype(np.float64)
    groups = [tuple(range(setting.languages))] if setting.parallel else [(i,) for i in range(setting.languages)]
    blocks = tuple(Block(group, right[:, :, [*group]], np.ones_like(right[:, :, [*group]])) for group in groups)
    return TaskRuns(backbones, right.mean(axis=0), blocks)


def truth(setting: Setting, abilities: Sequence[float], backbone: int) -> float:
    """Expected score of a backbone over trainings and rows."""
    return float(ndtr(abilities[backbone] / np.sqrt(ROW**2 + setting.lucks[backbone] ** 2 + NOISE**2)))


@dataclass
class Shares:
    """Shares of the simulated leaderboards.

    Attributes:
        score: those whose interval of a backbone's score holds the true one.
        difference: the same of a difference between two backbones.
        false_positive: those in which equal backbones are parted anywhere.
        naive: as ``difference``, by percentiles of the bootstrap; NaN: not asked.
    """

    score: float
    difference: float
    false_positive: float
    naive: float


def simulate(setting: Setting, leaderboards: int, *, seed: int = 0, naive: bool = False) -> Shares:
    """Draw leaderboards of backbones that differ, and of equal ones.

    Args:
        setting: how they are drawn.
        leaderboards: how many of either.
        seed: of the draws.
        naive: whether the percentile bootstrap is tried, too (slow).
    """
    generator = np.random.default_rng(seed)
    size = len(setting.seeds)
    abilities = np.linspace(0.2, 0.8, size)
    weight = np.full(setting.languages, 1 / setting.languages / setting.tasks)
    hits = np.zeros(4)
    for number in range(leaderboards):
        tasks = [draw(setting, abilities, generator) for _ in range(setting.tasks)]
        one, other = np.zeros((size, 1)), np.zeros((size, 1))
        one[0], other[0], other[-1] = 1, 1, -1
        score, pair = (estimate([(task, sign * weight) for task in tasks]) for sign in (one, other))
        first, last = truth(setting, abilities, 0), truth(setting, abilities, -1)
        hits[0] += score.low <= first <= score.high
        hits[1] += pair.low <= first - last <= pair.high
        if naive:
            drawn = bootstrap([(task, other * weight) for task in tasks], replicates=1000, seed=number)
            low, high = np.quantile(drawn, (0.025, 0.975))
            hits[3] += low <= first - last <= high
        equal = [draw(setting, np.full(size, 0.5), generator) for _ in range(setting.tasks)]

        def difference(i: int, j: int, tasks: Sequence[TaskRuns] = equal) -> Estimate:
            sign = np.zeros((size, 1))
            sign[i], sign[j] = 1, -1
            return estimate([(task, sign * weight) for task in tasks])

        hits[2] += any(pair.winner is not None for pair in compare_all(size, difference))
    shares = hits / leaderboards
    return Shares(shares[0], shares[1], shares[2], shares[3] if naive else float("nan"))


SETTINGS = (
    Setting((3, 3, 3, 3)),
    Setting((3, 3, 3, 3), parallel=True),
    Setting((2, 2, 2, 2), parallel=True),
    Setting((5, 5, 5, 5), parallel=True),
    Setting((2, 3, 5, 10)),
    Setting((3, 3, 3, 3), luck=0.0),
    Setting((3, 3, 3, 3), rows=2000, luck=0.1),
    Setting((1, 3, 3, 3)),
    Setting((3, 3, 3, 3), uneven=True),
    Setting((3,) * 8),
    Setting((3,) * 8, uneven=True),
    Setting((2,) * 8),
    Setting((3, 3, 3, 3), rows=100, tasks=8),
)


def main() -> None:
    """Print a line for each setting."""
    parser = parser_of(__doc__)
    parser.add_argument("--leaderboards", type=int, default=2000)
    parser.add_argument("--bootstrap", action="store_true", help="also the percentile bootstrap (slow)")
    options = parser.parse_args()
    print("share of intervals that hold the truth: score, difference; equal backbones parted; percentile bootstrap")
    for setting in SETTINGS:
        shares = simulate(setting, options.leaderboards, naive=options.bootstrap)
        print(f"{shares.score:.3f} {shares.difference:.3f} {shares.false_positive:.3f} {shares.naive:.3f}  {setting}")


if __name__ == "__main__":
    main()
