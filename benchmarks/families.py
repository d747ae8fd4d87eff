"""Which families of encoders work, found out by doing it.

python -m benchmarks.families

For each family a small random checkpoint is made, saved by the family's own classes. It is loaded with ``--model hf``
and with ``--model hf-encoder``, the hidden states of both are compared with those of the whole model, bit by bit, and
POS, XNLI and WPR are run end to end on the sample with both, with equal scores. The exit status is 1 if anything says
no; the reasons follow the table.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rounds import parser_of

LEAVES = {"POS": "xglue_pos_zs_th", "XNLI": "xglue_xnli_zs_el", "WPR": "xglue_wpr_zs_zh"}
COLUMNS = ("hf", "hf-encoder", "states equal", *LEAVES)


def check(family: str, folder: Path) -> dict[str, str | None]:
    """What failed for a family, by column; ``None`` where nothing did."""
    import torch
    from lm_eval.models.huggingface import HFLM

    from tests.helpers import families
    from tests.helpers.evaluation import evaluate
    from xglue_harness.encoders.backbone import encoder_of, weights_sha256
    from xglue_harness.harness.encoder_lm import EncoderLM

    families.FAMILIES[family](folder)
    loaded: dict[str, Any] = {}
    failures: dict[str, str | None] = {}
    for name, model in (("hf", HFLM), ("hf-encoder", EncoderLM)):
        failures[name] = _reason(lambda name=name, model=model: loaded.update({name: model(str(folder), device="cpu")}))

    def same() -> None:
        encoders = [encoder_of(loaded["hf"].model), loaded["hf-encoder"].model]
        sentences = [texts[0] for texts in families.texts().values()]
        batch = families.batch(loaded["hf-encoder"].tokenizer, sentences)
        expected = families.hidden_states(families.whole(folder), batch)
        with torch.no_grad():
            assert all(torch.equal(encoder(**batch).last_hidden_state, expected) for encoder in encoders)
        assert weights_sha256(encoders[0]) == weights_sha256(encoders[1])

    def run(leaf: str) -> None:
        options = {"train_limit": 16, "batch_size": 8}
        scores = []
        for name in ("hf", "hf-encoder"):
            os.environ["XGLUE_STORE"] = f"{folder}/store of {name}"  # each trains for itself
            scores.append(evaluate(folder, [leaf], options, model=name, limit=4)["results"][leaf]["score,none"])
        assert scores[0] == scores[1], f"hf scores {scores[0]}, hf-encoder {scores[1]}"

    failures["states equal"] = _reason(same)
    for title, leaf in LEAVES.items():
        failures[title] = _reason(lambda leaf=leaf: run(leaf))
    return failures


def _reason(act: Callable[[], None]) -> str | None:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            act()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    """Print the table."""
    parser_of(__doc__).parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    logging.disable(logging.WARNING)
    import lm_eval.evaluator

    import xglue_harness.hook  # noqa: F401  (teaches lm_eval's hf)
    from tests.helpers import families

    lm_eval.evaluator.add_env_info = lambda results: None  # a list of all packages after each run, from pip
    reasons = []
    print(f"{'family':12}" + "".join(f"{column:>14}" for column in COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        for family in families.FAMILIES:
            failures = check(family, Path(folder) / family)
            print(
                f"{family:12}" + "".join(f"{'no' if failures[column] else 'yes':>14}" for column in COLUMNS), flush=True
            )
            reasons += [f"{family}, {column}: {failures[column]}" for column in COLUMNS if failures[column]]
    print(*reasons, sep="\n", end="")
    sys.exit(1 if reasons else 0)


if __name__ == "__main__":
    main()
