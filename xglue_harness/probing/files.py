"""Result files that mteb reads, from numbers that are there already. Needs ``xglue-harness[mteb]``."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mteb
from mteb.results import TaskResult

from xglue_harness.probing.bitext_task import FrozenBitext
from xglue_harness.probing.encoder import model_meta
from xglue_harness.probing.tasks import frozen_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xglue_harness.data import Source
    from xglue_harness.probing.bitext import BitextProbe, BitextScore
    from xglue_harness.probing.frozen_encoder import FrozenEncoder
    from xglue_harness.probing.run import ProbeScore, TaskProbe


class ResultFiles:
    """A folder in the layout of mteb's ``ResultCache``."""

    def __init__(self, folder: Path, encoder: FrozenEncoder) -> None:
        """Nothing is written yet.

        Args:
            folder: of the cache.
            encoder: that the results are of.
        """
        self._cache, self._encoder = mteb.ResultCache(folder), encoder

    def add_task(
        self, source: Source, probe: TaskProbe, scores: Sequence[ProbeScore], seconds: float
    ) -> dict[str, Any]:
        """Write the results of a task in one layer.

        Args:
            source: of its data.
            probe: the task.
            scores: of its languages, all in one layer.
            seconds: that it took.

        Returns:
            Main score of each language, and its name under ``metric``.
        """
        task = frozen_task(probe.spec, source, probe.recipe, [one.language for one in scores])
        found = {}
        for one in scores:
            test = probe.tests[one.language]
            assert one.scored is not None
            found[one.language] = task.scores(test.rows, one.scored, test.part.states(one.layer))
        self._write(task, found, scores[0].layer, seconds)
        return _main(task, found)

    def add_bitext(self, probe: BitextProbe, scores: Sequence[BitextScore], seconds: float) -> dict[str, Any]:
        """Write the results of bitext mining in one layer; as `add_task`."""
        task = FrozenBitext(probe.texts)
        found = {one.pair: task.scores(one) for one in scores}
        self._write(task, found, scores[0].layer, seconds)
        return _main(task, found)

    def _write(self, task: Any, scores: Mapping[str, dict[str, Any]], layer: int, seconds: float) -> None:
        now = datetime.now(tz=timezone.utc)
        result = TaskResult.from_task_results(task, {"test": dict(scores)}, evaluation_time=seconds, date=now)
        self._cache.save_to_cache(result, model_meta(self._encoder, layer))


def _main(task: Any, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"metric": task.metadata.main_score, **{name: one["main_score"] for name, one in scores.items()}}
