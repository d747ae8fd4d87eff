"""A run says once, before it trains, in which languages its tokenizer reads much as unknown."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import torch

from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.harness.demo import build_encoder
from xglue_harness.transfer.preflight import warn_of_unknown

COLUMNS = ("premise", "hypothesis")


def test_the_languages_of_all_tasks_are_told_in_one_line(tmp_path, caplog):
    build_encoder(tmp_path / "tiny")
    backbone = load_backbone(str(tmp_path / "tiny"), torch.device("cpu"))

    def leaf(language, text):
        return SimpleNamespace(spec=TASKS["xnli"], language=language, documents={0: dict.fromkeys(COLUMNS, text)})

    leaves = [leaf("en", "the"), leaf("th", "ꙮ ꙮ"), leaf("th", "the the ꙮ ꙮ")]
    with caplog.at_level(logging.WARNING):
        warn_of_unknown(backbone, [])
        warn_of_unknown(backbone, leaves)
    (record,) = caplog.records
    assert record.getMessage().endswith("share of unknown subwords: th 67%")
