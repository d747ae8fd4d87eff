"""One whole training in a process of its own, which may be told to kill itself.

Child of ``benchmarks.gpu.run_checks``; prints what the training came to as the last line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import warnings
from typing import Any

from benchmarks.gpu.rig import Rig
from benchmarks.gpu.sides import watched
from benchmarks.workload import Setting
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.training.determinism import seeded
from xglue_harness.training.finetune import finetune
from xglue_harness.training.trainer import TrainingData


class Killer:
    """Ends this process by SIGKILL at the end of a step."""

    def __init__(self, step: int) -> None:
        """Choose the step."""
        self._step = step

    def ended(self, step: int) -> None:
        """Strike."""
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Train, in the store that the environment names."""
    import torch

    given: dict[str, Any] = json.loads(sys.argv[1])
    rig = Rig.of(Setting(**given["setting"]), "cuda" if torch.cuda.is_available() else "cpu")
    recipe = rig.recipe(given["precision"], epochs=given["epochs"], dropout=given["dropout"])
    data = TrainingData(rig.rows, "of the benchmark")
    killer = Killer(given["kill"]) if given["kill"] else None
    with warnings.catch_warnings(record=True) as caught, seeded(1, rig.backbone.device), watched(killer):
        warnings.simplefilter("always")
        tuned = finetune(
            rig.backbone,
            identify(rig.backbone),
            rig.spec,
            recipe,
            data,
            checkpoint_seconds=0 if given["kill"] else 600,
            progress=False,
        )
    said = (re.search(r"(\S+) does not have a deterministic implementation", str(one.message)) for one in caught)
    facts = {
        "weights": {str(epoch): sha256 for epoch, (_, sha256) in sorted(tuned.entry.weights.items())},
        "loss": tuned.training.final_loss,
        "resumed from": tuned.session.resumed_from_step,
        "mode": tuned.training.mode,
        "warned of": sorted({match[1] for match in said if match}),
        "recorded as nondeterministic": tuned.training.nondeterministic or [],
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
