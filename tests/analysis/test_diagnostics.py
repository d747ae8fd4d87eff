"""Where the harness's diagnostics do their arithmetic."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from xglue_analysis import diagnostics
from xglue_analysis.isotropy import iso_score
from xglue_analysis.languages import compare_languages
from xglue_analysis.neighbours import mexa, mutual_knn
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


def _alignment(parallel):
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(4, 40, 6, generator=generator)
    states = {"en": text, "de": text + 0.1 * torch.randn(4, 40, 6, generator=generator)}
    states["sw"] = torch.randn(4, 40, 6, generator=generator) + 5
    return diagnostics.alignment(
        SimpleNamespace(
            languages=("en", "de", "sw"),
            source="en",
            parallel=parallel,
            seed=3,
            device=torch.device("cpu"),
            states=lambda encoder, language: states[language],
        )
    ), states


def test_alignment_is_the_mean_over_layers_above_the_embeddings():
    result, states = _alignment(parallel=True)
    near = [mutual_knn(states["en"][layer], states["de"][layer]) for layer in range(4)]
    both = [mexa(states["en"][layer], states["de"][layer]) for layer in range(4)]
    german = result.languages["de"]
    assert german["mutual_knn_en"].value == pytest.approx(sum(near[1:]) / 3)
    assert german["mexa_en"].value == pytest.approx(sum(both[1:]) / 3)
    assert 0 < german["mutual_knn_en"].stderr < 0.1
    assert german["separability_en"].value < 0.7
    assert result.languages["sw"]["separability_en"].value > 0.95
    assert result.languages["sw"]["mexa_en"].value < 0.1
    rows = [dict(zip(result.details["de"]["columns"], row, strict=True)) for row in result.details["de"]["rows"]]
    assert [row["layer"] for row in rows] == [0, 1, 2, 3]
    assert all(row["mexa_p"] == 0.01 and row["mexa_calibrated"] > 0.5 for row in rows)
    assert "mutual_knn_en" not in result.languages["en"]


def test_without_translations_alignment_says_how_each_language_fills_its_space():
    result, states = _alignment(parallel=False)
    expected = sum(iso_score(states["sw"][layer]) for layer in range(1, 4)) / 3
    assert result.languages["sw"] == {"iso_score": Metric(pytest.approx(expected, abs=1e-6))}


def test_alignment_agrees_with_the_table_of_languages_layer_by_layer():
    result, states = _alignment(parallel=True)
    table = compare_languages(
        {"de": states["de"], "en": states["en"]}, permutations=diagnostics.PERMUTATIONS, seed=3, calibrate=True
    )
    details = result.details["de"]
    rows = [dict(zip(details["columns"], row, strict=True)) for row in details["rows"]]
    for row, other in zip(rows, table[::2], strict=True):
        assert other["language_a"] == "de"
        assert row == {name: other[name] for name in row}


def test_neighbours_of_english_are_found_once_a_layer(monkeypatch):
    asked = []
    nearest = diagnostics.nearest
    monkeypatch.setattr(diagnostics, "nearest", lambda layer, k: asked.append(layer) or nearest(layer, k))
    _, states = _alignment(parallel=True)
    english = [layer for layer in asked if any(torch.equal(layer, own) for own in states["en"])]
    assert len(english) == 4
    assert len(asked) == 3 * 4
