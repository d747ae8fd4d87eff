"""Runs in several threads of one process give what each gives alone, and the store keeps that."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors.torch import load_file

from xglue_harness.exclusive import one_thread
from xglue_harness.harness.demo import build_encoder
from xglue_harness.store.trainings import Store

TASKS = ["xglue_pos_zs_de", "xglue_xnli_zs_de"]
RECIPE = {"dropout": 0.1, "epochs": 2, "train_limit": 64, "dev": "none"}
SEEDS = (5, 1234)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp("encoder") for _ in range(2)]
    for folder, width in zip(folders, (32, 48), strict=True):
        build_encoder(folder, width=width)
    return folders


def _stored() -> dict[str, dict[str, list[float]]]:
    """Every weight in the store, by key and name."""
    return {
        folder.name: {
            name: tensor.tolist() for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()
        }
        for folder in Store().folders("entries")
    }


def test_two_threads_give_what_each_gives_alone(evaluate, encoders, tmp_path, monkeypatch, caplog) -> None:
    def run(encoder: Path, seed: int):
        results = evaluate(
            TASKS, RECIPE, model_args={"pretrained": str(encoder)}, log_samples=True, torch_random_seed=seed
        )
        scores = {leaf: results["results"][leaf] for leaf in TASKS}
        return scores, {leaf: [sample["resps"] for sample in results["samples"][leaf]] for leaf in TASKS}

    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "alone"))
    alone = [run(encoder, seed) for encoder, seed in zip(encoders, SEEDS, strict=True)]
    weights = _stored()
    assert len(weights) == 4
    monkeypatch.setenv("XGLUE_STORE", str(tmp_path / "together"))
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, encoders, SEEDS)) == alone
    assert _stored() == weights
    assert "another thread of this process" in caplog.text


def test_other_tasks_of_another_thread_go_on_while_they_are_evaluated(monkeypatch) -> None:
    """Their model is loaded, and seeds are set, alone; then they keep nobody waiting."""
    import lm_eval.evaluator as module

    from xglue_harness.harness.patches import apply_patches

    held, seen = threading.Event(), []

    def _take() -> None:
        with one_thread():
            held.set()

    def inner(*_, **__):
        seen.append(held.wait(5))

    def outer(*_, **__):
        taker = threading.Thread(target=_take)
        taker.start()
        seen.append(held.wait(0.2))
        module.evaluate(None, {})
        taker.join()

    monkeypatch.setattr(module, "evaluate", inner)
    monkeypatch.setattr(module, "simple_evaluate", outer)
    apply_patches()
    module.simple_evaluate()
    assert seen == [False, True]
