"""What a training tells TensorBoard, W&B or trackio while it goes, through accelerate's own trackers.

A run that goes on from a checkpoint, or finds its training in the store, tells all of it again: whatever it writes is a
whole curve. With TensorBoard that hides what the run before it has written into the same folder.
"""

from __future__ import annotations

import logging
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xglue_harness.errors import RecipeError

if TYPE_CHECKING:
    from xglue_harness.recipe import TrackerName
    from xglue_harness.records.training_schema import Curve, EpochScores
    from xglue_harness.training.distributed import World

T = TypeVar("T")

logger = logging.getLogger(__name__)

PROJECT = "xglue-harness"
"""Project of W&B and trackio, unless ``WANDB_PROJECT`` or ``TRACKIO_PROJECT`` names one."""

FOLDER = "runs"
"""Folder of TensorBoard's files, unless ``TENSORBOARD_LOGGING_DIR`` names one; these are transformers' names."""


class Reports:
    """Tells trackers what is new; with none, it does nothing."""

    def __init__(self, trackers: Sequence[Any] = (), metric: str = "score") -> None:
        """Nothing is told yet.

        Args:
            trackers: accelerate's, started.
            metric: name of the task's metric, for dev and test scores.
        """
        self._trackers, self._metric = list(trackers), metric
        self._points = self._epochs = 0

    def follow(self, curve: Curve | None, epochs: Sequence[EpochScores], steps_per_epoch: float) -> None:
        """Tell the points of a curve and the epochs that were not told yet, in the order of their steps.

        Args:
            curve: so far.
            epochs: that are scored.
            steps_per_epoch: which says at what step an epoch ended.
        """
        if not self._trackers:
            return
        news: list[tuple[int, dict[str, float]]] = []
        if curve is not None:
            news += [(curve.step[place], _point(curve, place)) for place in range(self._points, len(curve.step))]
            self._points = len(curve.step)
        for scores in epochs[self._epochs :]:
            values = {"train/epoch": scores.epoch, **self._named("dev", scores.dev)}
            news.append((round(scores.epoch * steps_per_epoch), values))
        self._epochs = len(epochs)
        for step, values in sorted(news, key=lambda item: item[0]):
            self._tell(values, step)

    def tested(self, scores: Mapping[str, float], step: int) -> None:
        """Tell the scores of the test sets, by language, at the training's last step."""
        if scores:
            self._tell(self._named("test", scores), step)

    def close(self) -> None:
        """Finish all runs."""
        self._each(lambda tracker: tracker.finish())

    def _named(self, what: str, scores: Mapping[str, float]) -> dict[str, float]:
        return {f"{what}_{self._metric}/{language}": score for language, score in scores.items()}

    def _tell(self, values: Mapping[str, float], step: int) -> None:
        self._each(lambda tracker: tracker.log(dict(values), step=step))

    def _each(self, act: Any) -> None:
        """Let each tracker act. One that fails is left out from then on: no training is lost by it.

        Nor is any changed: what a tracker draws at random (names, times to wait) is none of a training's numbers.
        """
        for tracker in list(self._trackers):
            python, legacy = random.getstate(), np.random.get_state()
            try:
                act(tracker)
            except Exception as error:
                self._trackers.remove(tracker)
                logger.warning("report_to %s: nothing more is reported to it: %s", tracker.name, error)
            finally:
                random.setstate(python)
                np.random.set_state(legacy)


@contextmanager
def reporting(
    names: Sequence[TrackerName],
    run: str,
    key: str,
    hyperparameters: Mapping[str, Any],
    metric: str,
    world: World,
) -> Iterator[Reports]:
    """Start trackers in the main process, and finish them whatever comes.

    Args:
        names: of the trackers.
        run: name of the run: letters, digits and ``._-``.
        key: of the training in the store, by which W&B and trackio group its runs.
        hyperparameters: texts and numbers by name.
        metric: name of the task's metric.
        world: the processes; the others report nothing.

    Raises:
        RecipeError: where a tracker can't be started.
    """
    given = {name: value for name, value in hyperparameters.items() if value is not None}
    if names:
        from accelerate import PartialState

        PartialState()  # accelerate's trackers want it; a model that came ready-made to lm_eval's `HFLM` has made none
    started = world.only_on_main(lambda: [_start(name, run, key, given) for name in names])
    reports = Reports(started or (), metric)
    try:
        yield reports
    finally:
        reports.close()


def run_name(backbone: str, task: str, seed: int, key: str) -> str:
    """Name of a training's run, of characters that a folder may have: ``xlm-roberta-base-pos-seed1-0a1b2c3d``."""
    short = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(backbone).name).strip("-.") or "encoder"
    return f"{short}-{task}-seed{seed}-{key[:8]}"


def _start(name: TrackerName, run: str, key: str, hyperparameters: dict[str, Any]) -> Any:
    """One of accelerate's trackers, started, with the run's hyperparameters."""
    try:
        if name == "trackio":
            return _beside_other_runs(lambda: _begun(name, run, key, hyperparameters))
        tracker = _begun(name, run, key, hyperparameters)
        if name == "tensorboard":  # the others have got them
            tracker.store_init_configuration(hyperparameters)
    except Exception as error:
        raise RecipeError(f"report_to {name}: it can't be started: {type(error).__name__}: {error}") from error
    return tracker


def _begun(name: TrackerName, run: str, key: str, hyperparameters: dict[str, Any]) -> Any:
    tracker = _tracker(name, run, key, hyperparameters)
    if hasattr(tracker, "start"):  # older versions of accelerate have started it by now
        tracker.start()
    return tracker


def _beside_other_runs(begin: Callable[[], T]) -> T:
    """What starts a run of trackio, without a word to the one that is there (of lm_eval's ``--trackio_args``).

    trackio has one run at a time: a new one ends it, and takes what is logged for it from then on.
    """
    import trackio
    from trackio.context_vars import current_run

    def alone() -> T:
        current_run.set(None)
        return begin()

    config = trackio.config
    try:
        return copy_context().run(alone)
    finally:
        trackio.config = config


def _tracker(name: TrackerName, run: str, key: str, hyperparameters: dict[str, Any]) -> Any:
    from accelerate import tracking

    if name == "tensorboard":
        folder = os.environ.get("TENSORBOARD_LOGGING_DIR") or FOLDER
        # What an earlier run of the same training has written is hidden, from its first step on.
        return tracking.TensorBoardTracker(run, folder, purge_step=0)
    shared = {"name": run, "group": key, "config": hyperparameters}
    if name == "wandb":
        project = os.environ.get("WANDB_PROJECT") or PROJECT
        # A run of its own beside that of lm_eval's --wandb_args, which would else be taken, and finished.
        return tracking.WandBTracker(project, reinit="create_new", **shared)
    if not hasattr(tracking, "TrackioTracker"):
        raise RuntimeError("accelerate knows no trackio in this version: upgrade accelerate")
    return tracking.TrackioTracker(os.environ.get("TRACKIO_PROJECT") or PROJECT, **shared)


def _point(curve: Curve, place: int) -> dict[str, float]:
    """A point under the names that transformers' Trainer gives its numbers."""
    values = {"train/loss": curve.loss[place], "train/learning_rate": curve.learning_rate[place]}
    norm = curve.gradient_norm[place]
    return values if norm is None else {**values, "train/grad_norm": norm}
