"""What lm-eval's loggers make of results: the tables that they send, without the programs that they send them to."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pandas as pd
from lm_eval.loggers.wandb_logger import WandbLogger


def sample_table(results: dict[str, Any], leaf: str) -> pd.DataFrame:
    """The table of a task's samples as ``--wandb_args`` logs it; columns of one type, or wandb refuses them."""
    found: pd.DataFrame = WandbLogger._generate_dataset(None, results["samples"][leaf], results["configs"][leaf])
    if find_spec("lm_eval.scorers") and results["configs"][leaf]["output_type"] == "generate_until":
        # lm-eval 0.5 keeps the repetitions of an answer together, and logs them so; there is one
        found["filtered_predictions"] = [answer for [answer] in found["filtered_predictions"]]
    for name in found.columns:
        kinds = {type(value) for value in found[name]}
        assert len(kinds) == 1, (name, kinds)
        if kinds <= {tuple, list}:
            assert {type(item) for value in found[name] for item in value} <= {int, float, str}, name
    return found
