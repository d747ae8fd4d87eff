"""The protocol ``probe``, as lm-eval meets it: requests of a fine-tuning, answered by a probe of the frozen encoder."""

from __future__ import annotations

from xglue_harness.errors import RecipeError
from xglue_harness.harness.finetuning import FineTuning


class Probing(FineTuning):
    """An encoder stays as it is; a probe on its states is fitted on English and predicts every language."""

    name = "probe"

    def check(self, documents: int, processes: int) -> None:
        """Refuse several processes, which would all compute the same states, and a task without documents.

        Raises:
            RecipeError: saying so.
        """
        if processes > 1:
            raise RecipeError(
                f"protocol probe: one process does all of it, and there are {processes}: start without torchrun and "
                "accelerate launch"
            )
        super().check(documents, 1)
