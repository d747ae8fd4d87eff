"""A run says once, before it trains, in which languages its tokenizer reads much as unknown."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import torch

from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.harness.demo import build_encoder
from xglue_harness.transfer.preflight import warn_of_unknown


def test_the_languages_of_all_tasks_are_told_in_one_line(tmp_path, caplog):
    build_encoder(tmp_path / "tiny")
    backbone = load_backbone(str(tmp_path / "tiny"), torch.device("cpu"))

    def job(task, texts):
        leaves = [
            SimpleNamespace(language=lang, documents={0: {"premise": text, "hypothesis": text, "words": text.split()}})
            for lang, text in texts.items()
        ]
        return SimpleNamespace(spec=TASKS[task], leaves=leaves, backbone=backbone)

    jobs = [job("xnli", {"en": "the", "th": "ꙮ ꙮ"}), job("xnli", {"th": "the the ꙮ ꙮ"})]
    with caplog.at_level(logging.WARNING):
        warn_of_unknown([])
        warn_of_unknown(jobs)
    (record,) = caplog.records
    assert record.getMessage().endswith("share of unknown subwords: th 67%")
