"""What trainings took that are finished: in the results of a sweep, and in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xglue_harness.errors import DataError, StoreError
from xglue_harness.housekeeping import folder_bytes
from xglue_harness.records.results_files import read_runs
from xglue_harness.records.schema import Evaluation
from xglue_harness.records.training_schema import Training
from xglue_harness.seal import DamagedFileError
from xglue_harness.store.trainings import Store, read_entry
from xglue_harness.training.checkpoint import read_progress


@dataclass(frozen=True)
class Finished:
    """A training that is finished, and what it took.

    Attributes:
        source: where that stands: ``results`` or ``store``.
        encoder: name on the Hub, or path.
        recipe: all options of the training, as its record has them.
        device: a GPU's name, or ``cpu:`` and the processor's.
        training: its record.
        test: subwords of the test sets; ``None`` where only the training is known.
        seconds: of tokenising, training, dev and test sets, and diagnostics; without those that are not known.
        bytes: that it takes in the store; ``None`` where that is not known.
        trained: its run did all of the training itself, and did not take it, or a part, from the store.
    """

    source: str
    encoder: str
    recipe: Mapping[str, Any]
    device: str
    training: Training
    test: float | None
    seconds: float
    bytes: int | None
    trained: bool = False

    @property
    def rate(self) -> float | None:
        """Subwords a second in training; ``None`` where it took no time."""
        seconds = self.training.cost.seconds
        return self.training.real_tokens / seconds if seconds > 0 else None

    @property
    def dev(self) -> float:
        """Subwords of the dev sets, over all epochs."""
        cost = self.training.dev_cost
        return (cost.tokens_per_second or 0.0) * cost.seconds


def in_results(folder: Path) -> Finished | None:
    """The training behind the results of a job; ``None`` where there are none, or they are not ours.

    Args:
        folder: with what ``lm_eval --output_path`` wrote.
    """
    try:
        runs = [run.record for run in read_runs([folder])]
        first = runs[0]
        training = Training.model_validate(first["training"])
        evaluations = [Evaluation.model_validate(run["evaluation"]) for run in runs]
    except (DataError, OSError, KeyError, TypeError, ValidationError):
        return None
    costs = [training.tokenising_cost, training.cost, training.dev_cost, *(item.cost for item in evaluations)]
    diagnostics = (first.get("diagnostics") or {}).get("cost") or {}
    session = first.get("session") or {}
    return Finished(
        source="results",
        encoder=first["backbone"]["name"],
        recipe=first["recipe"],
        device=_device(training),
        training=training,
        test=float(sum(item.real_tokens for item in evaluations)),
        seconds=sum(cost.seconds for cost in costs) + diagnostics.get("seconds", 0.0),
        bytes=None,
        trained=session.get("from_store") is False and session.get("resumed_from_step") is None,
    )


def in_store(store: Store) -> Iterator[Finished]:
    """The trainings of a store; damaged entries are passed over, `xglue-harness store verify` names them."""
    for folder in store.folders("entries"):
        try:
            entry = read_entry(folder)
            training = Training.model_validate(entry.training)
        except (StoreError, OSError, ValidationError):
            continue
        seconds = sum(cost.seconds for cost in (training.tokenising_cost, training.cost, training.dev_cost))
        recipe = entry.identity["recipe"]
        yield Finished("store", entry.name, recipe, _device(training), training, None, seconds, folder_bytes(folder))


def begun_in_store(store: Store) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Encoder and recipe of each training of a store that has a checkpoint and is not finished."""
    for folder in store.folders("working"):
        try:
            progress = read_progress(folder)
        except DamagedFileError:
            continue
        if progress is not None and progress.checkpoint is not None:
            yield progress.name, progress.recipe


def _device(training: Training) -> str:
    hardware = training.environment.hardware
    return str(hardware.get("gpu") or f"cpu: {hardware.get('processor', 'unknown')}")
