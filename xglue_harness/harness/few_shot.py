"""Few-shot examples: rows of English train, drawn where they lie in memory-mapped files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval.api.samplers import ContextSampler

from xglue_harness.benchmark import SOURCE_LANGUAGE, TaskSpec
from xglue_harness.data import unofficial
from xglue_harness.errors import PromptError

if TYPE_CHECKING:
    from datasets import Dataset

    from xglue_harness.data.source import Source


class FewShotSampler(ContextSampler):
    """Draws as lm-eval's default sampler does, without a list of the whole training set for each language."""

    def __init__(self, source: Source, spec: TaskSpec) -> None:
        """Take the source; it is read when examples are wanted."""
        super().__init__()
        self._source, self._spec = source, spec
        self._rows: Dataset | None = None
        self.files: Mapping[str, str] = {}
        """sha256 of what was read, by path: nothing while no example was drawn."""
        self.unofficial: list[str] = []
        """What to say of the training set, where it has not the official number of rows."""

    def sample(self, n: int, eval_doc: object = None, df: object = None, **_: object) -> Sequence[dict[str, Any]]:
        """``n`` rows, none twice.

        Raises:
            PromptError: where there are fewer.
            DataError: where the training set is missing or malformed.
        """
        if self._rows is None:
            loaded = self._source.load(self._spec, "train", SOURCE_LANGUAGE)
            self._rows, self.files = loaded.dataset, loaded.files
            self.unofficial = unofficial(self._source, self._spec, "train", SOURCE_LANGUAGE, len(self._rows))
        if n > len(self._rows):
            raise PromptError(f"{self._spec.title}: --num_fewshot {n}: English train has only {len(self._rows)} rows")
        return [self._rows[i] for i in self.rnd.sample(range(len(self._rows)), n)]
