"""A run: one task in one language, scored once, wherever the number came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from xglue_harness.benchmark import TASKS, TaskSpec
from xglue_harness.errors import DataError
from xglue_harness.records.predictions import RowPredictions
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.results_files import checked_predictions
from xglue_harness.records.schema import RunRecord
from xglue_harness.records.training_schema import Training

Record: TypeAlias = RunRecord | PromptRecord | ProbeRecord
Protocol = Literal["finetune", "prompt", "probe"]


@dataclass(frozen=True)
class Score:
    """A number with its standard error.

    Attributes:
        value: as the results state it; scores are from 0 to 1.
        stderr: over test documents; ``None`` where there is none.
    """

    value: float
    stderr: float | None


@dataclass(frozen=True)
class Run:
    """One task in one language, scored once.

    Attributes:
        source: the file that says so.
        name: of the run in it: lm_eval's leaf, the entry's key, or the language in a tree's file.
        task: short name.
        language: that was scored.
        split: whose scores they are: an entry of the store knows dev sets only.
        protocol: how the model was used.
        backbone: name on the Hub, or path; of a tree its name there.
        seed: of the training or the probe; ``None``: a model was prompted.
        recipe: all options of the training or the probe; of a prompted model all that it was asked with.
        scores: by measure: the task's metric, ``score``, diagnostics; empty where there are predictions only, and for
            an entry of the store whose recipe has no dev sets.
        official: score by XGLUE's own evaluator; ``None``: not known.
        record: where the number comes from; ``None`` for an entry of the store.
        training: the fine-tuning; ``None``: the model was prompted, or a frozen encoder probed.
        predictions: file of the predictions; ``None``: not kept, or not there.
    """

    source: Path
    name: str
    task: str
    language: str
    split: Literal["dev", "test"]
    protocol: Protocol
    backbone: str
    seed: int | None
    recipe: Mapping[str, Any]
    scores: Mapping[str, Score]
    official: float | None
    record: Record | None
    training: Training | None
    predictions: Path | None

    def __str__(self) -> str:
        return f"{self.source}: {self.name}"

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return TASKS[self.task]

    @property
    def score(self) -> Score | None:
        """By the task's metric; ``None`` where it was not scored."""
        return self.scores.get(self.spec.metric)

    @property
    def collapsed(self) -> bool:
        """Whether the record says that nothing was learnt."""
        return self.record is not None and self.record.flags.collapsed

    @property
    def sample(self) -> bool:
        """Whether the data are the packaged toy."""
        return self.record is not None and self.record.sample

    @property
    def unofficial(self) -> tuple[str, ...]:
        """Splits that have another number of rows than XGLUE's, in words."""
        return () if self.record is None else tuple(self.record.data.unofficial)

    def read_predictions(self) -> RowPredictions:
        """The predictions, compared with the hash in the record; of some rows only where the run was limited.

        Raises:
            DataError: where they are missing, or not those of the record.
        """
        kept = None if self.record is None else self.record.predictions
        if kept is None or self.predictions is None:
            raise DataError(
                f"{self}: no predictions are kept with this result; expected them beside the file, as lm_eval "
                "--output_path leaves them, or in the cache: run it again"
            )
        predictions = checked_predictions(self.predictions, kept.sha256, str(self))
        header = predictions.header
        actual = (header.task, header.language, header.split, header.rows, len(predictions.rows))
        expected = (self.task, self.language, self.split, kept.total, kept.rows)
        if actual != expected:
            raise DataError(
                f"{self.predictions}: task, language, split, rows in all and predicted are {actual}; expected "
                f"{expected}, as {self} says"
            )
        return predictions
