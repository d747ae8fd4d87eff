"""The example tree of the leaderboard: tiny encoders on the packaged toy, through lm_eval and ``leaderboard add``.

Their families and languages are made up to show every part of a page; their scores mean nothing.

    python -m tools.make_example          # writes tests/leaderboard/example, in about 7 minutes
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from xglue_harness.benchmark import LANGUAGES, TASKS
from xglue_harness.harness.demo import build_encoder, evaluate_sample
from xglue_harness.leaderboard.add import add
from xglue_harness.leaderboard.contributions.new_backbone import new_backbone

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "leaderboard" / "example"
RECIPE = "toy"

# title, family, continued from, unseen languages, seed of the weights, width, layers, seeds, tasks
ENCODERS = {
    "tiny-lm": ("Tiny LM", "LM", None, (), 1, 96, 2, (1, 2, 3), tuple(TASKS)),
    "tiny-cp": ("Tiny LM continued", "CP", "tiny-lm", (), 2, 96, 2, (1, 2), tuple(TASKS)),
    "tiny-mt": ("Tiny MT", "MT", None, ("bg", "el", "sw"), 3, 8, 1, (1, 2, 3), tuple(TASKS)),
    "tiny-new": ("Tiny newcomer", "LM", None, ("ur",), 4, 32, 1, (1,), ("xnli", "pawsx", "ner")),
}
DIAGNOSED = ("xnli",)
"""Tasks whose runs look at the encoder, too."""
FROZEN = {"tiny-lm": ("nc", "xnli", "ner"), "tiny-mt": ("nc", "xnli", "ner")}
"""Encoders that are probed, too, and on which tasks."""
PROBE = {"data": "sample", "protocol": "probe"}


def main() -> None:
    """Train, evaluate and add."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"XGLUE_STORE": f"{temporary}/store", "XGLUE_CACHE": f"{temporary}/cache", "HF_HUB_OFFLINE": "1"}
        os.chdir(temporary)  # so that no path of this machine stands in a record
        for name in ENCODERS:
            _describe(name, folder)
        for name, (*_, seeds, tasks) in ENCODERS.items():
            for seed in seeds:
                _evaluate(name, seed, tasks, folder)
        for name, tasks in FROZEN.items():
            _probe(name, tasks, folder)


def _describe(name: str, folder: Path) -> None:
    """Build an encoder, and describe it as a contributor would."""
    title, family, parent, unseen, seed, width, layers, _, _ = ENCODERS[name]
    build_encoder(Path(name), seed=seed, width=width, layers=layers)
    answers = {
        "title": title,
        "hub": "",
        "family": family,
        "pretraining.data": "none: the weights are random",
        "pretraining.languages": ",".join(language for language in LANGUAGES if language not in unseen),
        "pretraining.languages_source": "made up, to show seen and unseen languages",
        "parallel_data": "none" if family == "LM" else "made up",
        "licence": "Apache-2.0",
        "paper": "https://arxiv.org/abs/2403.16777",
        "contributor": "xglue-harness authors",
    }
    (folder / "backbones").mkdir(parents=True, exist_ok=True)
    (folder / "backbones" / f"{name}.yaml").unlink(missing_ok=True)
    new_backbone(name, name, folder, answers | ({"continued_from": parent} if parent else {}))


def _evaluate(name: str, seed: int, tasks: tuple[str, ...], folder: Path) -> None:
    for task in tasks:
        options = {"diagnostics": ["cka", "spectra"], "diagnostic_rows": 16} if task in DIAGNOSED else {}
        evaluate_sample(Path(name), tasks=[f"xglue_{task}_zs"], seed=seed, output=Path("results"), **options)
    print(name, seed, add([Path("results", name)], folder, recipe=RECIPE, example=True))


def _probe(name: str, tasks: tuple[str, ...], folder: Path) -> None:
    groups = [f"xglue_{task}_zs" for task in tasks]
    evaluate_sample(Path(name), tasks=groups, seed=1, output=Path("frozen"), recipe=PROBE)
    print(name, "frozen", add([Path("frozen", name)], folder, example=True))


if __name__ == "__main__":
    main()
