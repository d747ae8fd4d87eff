"""Where the harness's diagnostics do their arithmetic."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from xglue_analysis import diagnostics
from xglue_analysis.result import Metric


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_cka_is_computed_where_the_encoder_is(device, monkeypatch):
    seen = set()

    def watching(x, y, seed):
        seen.update((x.device.type, y.device.type))
        return Metric(0.5), {}

    monkeypatch.setattr(diagnostics, "compared", watching)
    context = SimpleNamespace(
        languages=("en", "de"),
        source="en",
        encoders=("finetuned", "pretrained"),
        parallel=True,
        seed=1,
        device=torch.device(device),
        states=lambda encoder, language: torch.zeros(3, 10, 4),
    )
    result = diagnostics.cka(context)
    assert seen == {device}
    assert sorted(result.languages["de"]) == ["cka_en", "cka_pretrained"]
