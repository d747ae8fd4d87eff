"""Several processes: they train once, together, and give the scores of one; killed ones are taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.language_models import build_decoder
from tests.helpers.runs import QUICK
from xglue_harness.results import predictions
from xglue_harness.results.schema import comparable
from xglue_harness.transfer.store import Store, read_entry

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {**QUICK, "epochs": 3, "train_limit": 75, "dropout": 0, "dev": "en", "diagnostics": ["cka", "spectra"]}
LEAVES = ["xglue_pos_zs_th", "xglue_xnli_zs_sw", "xglue_wpr_zs_de"]


def _command(encoder, out, *, model="hf-encoder", leaves=LEAVES, options=OPTIONS):
    """The run of `tests.helpers.process`; two processes can't share its 31 documents evenly."""
    return ["-m", "tests.helpers.process", model, str(encoder), ",".join(leaves), json.dumps(options), str(out), "31"]


def _environment(store):
    return {
        **os.environ,
        "XGLUE_STORE": str(store),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _several(count, command, store):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count), *command]
    done = subprocess.run(launcher, cwd=ROOT, env=_environment(store), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    command = [sys.executable, *_command(tiny, folder / "out.json")]
    subprocess.run(command, cwd=ROOT, env=_environment(folder / "store"), check=True, capture_output=True)
    return json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("model", ["hf-encoder", "hf"])
def test_two_processes_give_the_scores_of_one(model, alone, tiny, tmp_path):
    leaves = LEAVES if model == "hf-encoder" else LEAVES[:1]
    _several(2, _command(tiny, tmp_path / "out.json", model=model, leaves=leaves), tmp_path / "store")
    both = json.loads((tmp_path / "out.json").read_text())
    for leaf in leaves:
        one, two = (run["configs"][leaf]["metadata"]["xglue"] for run in (alone, both))
        assert two["training"]["world_size"] == 2
        assert two["training"]["store_key"] == one["training"]["store_key"]
        assert two["training"]["final_loss"] == pytest.approx(one["training"]["final_loss"], abs=1e-6)
        assert both["results"][leaf]["score,none"] == pytest.approx(alone["results"][leaf]["score,none"], abs=1e-6)
        assert two["selection"]["scores"]["en_dev"]["score"] == pytest.approx(
            one["selection"]["scores"]["en_dev"]["score"], abs=1e-6
        )
        assert two["training"]["epochs"] == one["training"]["epochs"]
        found = [run["diagnostics"]["metrics"] for run in (one, two)]
        assert found[0].keys() == found[1].keys() >= {"cka_pretrained", "sigma_distance"}
        for name, metric in found[0].items():
            assert found[1][name]["value"] == pytest.approx(metric["value"], abs=1e-4), name
        counts = ("documents", "real_tokens", "truncated", "missing_words")
        assert [two["evaluation"][name] for name in counts] == [one["evaluation"][name] for name in counts]
        documents = [sample["doc_id"] for sample in both["samples"][leaf]]
        assert sorted(documents) == list(range(len(alone["samples"][leaf])))
    assert len(Store(tmp_path / "store").folders("entries")) == len(leaves)


def test_two_processes_prompt_with_the_answers_of_one(tmp_path):
    build_decoder(tmp_path / "decoder")
    found = []
    for count in (1, 2):
        out = tmp_path / f"{count}.json"
        command = _command(tmp_path / "decoder", out, model="hf", leaves=LEAVES, options={"data": "sample"})
        _several(count, command, tmp_path / "store")
        found.append(json.loads(out.read_text()))
    for leaf in LEAVES:
        one, two = (run["configs"][leaf]["metadata"]["xglue"] for run in found)
        assert two["protocol"] == "prompt"
        kept = [predictions.read(predictions.kept(record["predictions"]["sha256"])) for record in (one, two)]
        assert kept[0].rows == kept[1].rows
        assert kept[0].predictions == kept[1].predictions
        for part in ("data", "model", "prompt", "evaluation", "flags"):
            assert one[part] == two[part]
        for name, value in found[0]["results"][leaf].items():
            assert found[1]["results"][leaf][name] == pytest.approx(value, abs=1e-9), name


def _killed(command, store, when):
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=_environment(store), stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not when(store):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _writes_a_checkpoint(store):
    return any(store.glob("working/*/.checkpoint-[5-9]*.tmp"))


def _has_finished_one_task(store):
    return any(store.glob("entries/*"))


@pytest.mark.parametrize("when", [_writes_a_checkpoint, _has_finished_one_task])
def test_a_killed_run_goes_on_and_ends_with_the_same_results(when, alone, tiny, tmp_path):
    """More moments, at random: python -m benchmarks.kills."""
    command = _command(tiny, tmp_path / "out.json", options={**OPTIONS, "checkpoint_minutes": 0})
    store = tmp_path / "store"
    _killed(command, store, when)
    assert not (tmp_path / "out.json").exists()
    subprocess.run([sys.executable, *command], cwd=ROOT, env=_environment(store), check=True, capture_output=True)
    resumed = json.loads((tmp_path / "out.json").read_text())
    assert resumed["results"] == alone["results"]
    for leaf in LEAVES:
        one, other = (run["configs"][leaf]["metadata"]["xglue"] for run in (alone, resumed))
        assert comparable(one) == comparable(other)
        assert [s["resps"] for s in resumed["samples"][leaf]] == [s["resps"] for s in alone["samples"][leaf]]
    sessions = [resumed["configs"][leaf]["metadata"]["xglue"]["session"] for leaf in LEAVES]
    assert any(session["from_store"] or session["resumed_from_step"] for session in sessions)
    assert all(read_entry(folder).problems() == [] for folder in Store(store).folders("entries"))
