"""lm_eval's own ways of passing results on, ``--wandb_args`` and ``--hf_hub_log_args``: our records go along whole.

Both programs are stood for: nothing is sent, but all that would be is looked at.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.helpers.evaluation import evaluate
from xglue_harness.records.schema import RunRecord

TASKS = ["xglue_pawsx_zs_de", "xglue_ner_zs_en", "xglue_wpr_zs_es"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Stands for the Hub: what is uploaded is read at once."""
    calls: list[tuple[str, str]] = []

    def upload_file(*, path_or_fileobj, path_in_repo, **_):
        calls.append((path_in_repo, Path(path_or_fileobj).read_text(encoding="utf-8")))

    def upload_folder(*, folder_path, **_):
        calls.append(("", " ".join(sorted(path.name for path in Path(folder_path).iterdir()))))

    return SimpleNamespace(
        calls=calls, create_repo=lambda **_: None, upload_file=upload_file, upload_folder=upload_folder
    )


@pytest.fixture(scope="module")
def results(tiny, tmp_path_factory, hub):
    """Results with samples, as the Hub's logger has handled them."""
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(
        output_path=str(tmp_path_factory.mktemp("out")),
        hub_results_org="me",
        push_results_to_hub=True,
        push_samples_to_hub=True,
        token="hf_none",
    )
    tracker.api = hub
    found = evaluate(tiny, TASKS, {}, model="hf", log_samples=True, evaluation_tracker=tracker)
    samples = found["samples"]
    with _no_warning("lm_eval.loggers.evaluation_tracker"):
        tracker.save_results_aggregated(results={**found, "samples": {}}, samples=samples)
        for leaf in TASKS:
            tracker.save_results_samples(task_name=leaf, samples=json.loads(json.dumps(samples[leaf], default=str)))
    return found


@contextmanager
def _no_warning(name: str):
    """The logger turns whatever fails into a warning."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert not said


def _strict(text: str):
    """JSON, without the NaN and Infinity that Python would take."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_the_hub_gets_the_record_of_every_leaf_and_the_predictions(results, hub):
    [(place, text)] = [call for call in hub.calls if call[0].endswith(".json")]
    assert Path(place).name.startswith("results_")
    uploaded = _strict(text)
    for leaf in TASKS:
        record = RunRecord.model_validate(uploaded["configs"][leaf]["metadata"]["xglue"], strict=True, context="json")
        assert record.predictions is not None
    folders = [names for place, names in hub.calls if not place]
    assert len(folders) == len(TASKS)
    for leaf in TASKS:
        assert f"predictions_{leaf}_" in folders[-1]
        assert f"samples_{leaf}_" in folders[-1]


@pytest.fixture
def wandb(monkeypatch):
    """Stands for wandb; what is logged is kept, and has to be what wandb takes: JSON, tables, frames, artifacts."""
    kept: dict[str, list] = {"config": [], "summary": [], "logs": [], "artifacts": []}

    class Table:
        def __init__(self, columns):
            self.columns, self.rows = columns, []

        def add_data(self, *row):
            assert len(row) == len(self.columns)
            self.rows.append(row)

    class Artifact:
        def __init__(self, name, type):
            self.name, self.text = name, StringIO()

        @contextmanager
        def new_file(self, name, **_):
            yield self.text

    def update_config(value, **_):
        json.dumps([config["metadata"] for config in value["task_configs"].values()], allow_nan=False)
        kept["config"].append(json.loads(json.dumps(value, default=str)))  # lm_eval's own has a torch.dtype

    run = SimpleNamespace(
        config=SimpleNamespace(update=update_config),
        summary=SimpleNamespace(update=kept["summary"].append),
        log=lambda value, step=None: kept["logs"].append(value),
        log_artifact=lambda artifact: kept["artifacts"].append((artifact.name, artifact.text.getvalue())),
    )
    module = ModuleType("wandb")
    module.__version__, module.run = "0.20.0", None
    module.init, module.Table, module.Artifact = (lambda **_: run), Table, Artifact
    printer = ModuleType("wandb.sdk.lib.printer")
    printer.new_printer = lambda: None
    for name, one in {"wandb": module, "wandb.sdk.lib.printer": printer}.items():
        monkeypatch.setitem(sys.modules, name, one)
    return SimpleNamespace(**kept, table=Table)


def test_wandb_gets_numbers_records_and_samples(results, wandb):
    from lm_eval.loggers import WandbLogger

    logger = WandbLogger(init_args={"project": "x"})
    logger.post_init(results)
    logger.log_eval_result()
    logger.log_eval_samples(results["samples"])
    [config] = wandb.config
    [summary] = wandb.summary
    numbers, *others = wandb.logs
    assert all(isinstance(value, str) for value in summary.values())
    for leaf in TASKS:
        assert RunRecord.model_validate(config["task_configs"][leaf]["metadata"]["xglue"], context="json")
        told = {key.partition(",")[0]: value for key, value in results["results"][leaf].items()}
        metric = "ndcg" if "wpr" in leaf else "f1" if "ner" in leaf else "acc"
        assert numbers[f"{leaf}/{metric}"] == told[metric]
        assert numbers[f"{leaf}/official"] == told["official"]
    tables = [value for log in others for value in log.values() if isinstance(value, wandb.table)]
    assert {row[0] for row in tables[0].rows} >= {*TASKS}
    artifacts = dict(wandb.artifacts)
    assert set(artifacts) == {"results", *TASKS}
    written = _strict(artifacts["results"])
    assert written["configs"][TASKS[0]]["metadata"]["xglue"]["task"] == "pawsx"
    frames = {key: value for log in others for key, value in log.items() if key.removesuffix("_eval_results") in TASKS}
    for leaf in TASKS:
        assert len(frames[f"{leaf}_eval_results"]) == len(results["samples"][leaf])
