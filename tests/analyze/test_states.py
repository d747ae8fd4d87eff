"""States of sentences: in any batch, of encoders that are told a language, and shared with probes."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.padding import backbone_of
from tests.helpers import families, tokenizers
from xglue_analysis import compare_languages, layer_states
from xglue_harness.analyze.settings import Settings
from xglue_harness.analyze.states import every_layer, facts_of, load, parts_of
from xglue_harness.cli import app as cli
from xglue_harness.encoders.languages import MBART_CODES, NLLB_CODES
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import DataError, EncoderError
from xglue_harness.probing.frozen_encoder import FrozenEncoder
from xglue_harness.probing.opening import frozen_encoder
from xglue_harness.probing.states import keep_states

TEXTS = ["the dog", "the cat and the dog", "a", "the dog and the cat and the dog and a cat", "one more sentence"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XGLUE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return families.Checkpoints(tmp_path_factory.mktemp("families"))


def frozen(backbone):
    return frozen_encoder(backbone, backbone.name, pooling="mean", max_length=32, progress=False)


def states(encoder, language, texts=TEXTS):
    part = parts_of(encoder, {language: texts})[language]
    keep_states([(encoder, [part], range(encoder.last + 1))])
    return every_layer(encoder, part)


@pytest.mark.parametrize(("family", "batches"), [("convbert", "one length"), ("bert", "any length")])
def test_a_sentence_has_the_states_that_it_has_alone(family, batches):
    body = backbone_of(family, tokenizers.bert())
    encoder = frozen(body)
    assert facts_of(encoder)["batches"] == encoder.backbone.batch_rule == batches
    found = states(encoder, "de")
    alone = [states(encoder, "de", [text]) for text in TEXTS]
    assert torch.allclose(found, torch.cat(alone, dim=1), atol=2e-3)
    mixed = layer_states(body.encoder, body.tokenizer, TEXTS, max_length=32)
    apart = layer_states(body.encoder, body.tokenizer, TEXTS, max_length=32, batches=batches)
    single = layer_states(body.encoder, body.tokenizer, TEXTS, max_length=32, batches="one input")
    assert torch.allclose(found, single, atol=2e-3)
    assert torch.allclose(apart, single, atol=1e-5)
    assert torch.allclose(mixed, single, atol=1e-3) == (batches == "any length"), "the trap is gone"


@pytest.mark.parametrize("family", ["xlm", "xmod"])
def test_the_encoder_is_told_the_language(family):
    encoder = frozen(backbone_of(family, tokenizers.bert()))
    assert not torch.allclose(states(encoder, "en"), states(encoder, "de"), atol=1e-2)
    with pytest.raises(EncoderError, match="does not know 'sw'"):
        parts_of(encoder, {"sw": TEXTS})


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@pytest.mark.parametrize(
    ("family", "codes"), [("xlmr", None), ("t5", None), ("mbart50", MBART_CODES), ("nllb", NLLB_CODES)]
)
def test_states_are_the_librarys_up_to_float16(family, codes, pooling, checkpoint):
    body = load_backbone(str(checkpoint(family)), torch.device("cpu"))
    found = states(load(str(checkpoint(family)), Settings(pooling, 32, 20, 20, 0, "cpu")), "de")
    code = None if codes is None else codes["de"]
    expected = layer_states(body.encoder, body.tokenizer, TEXTS, pooling=pooling, max_length=32, language_code=code)
    limits = 2**-11 * expected.abs().amax(dim=-1) + 1e-6
    assert ((found - expected).abs().amax(dim=-1) <= limits).all()


def test_a_code_that_is_not_known_is_refused(checkpoint):
    encoder = frozen(load_backbone(str(checkpoint("nllb")), torch.device("cpu")))
    with pytest.raises(DataError, match="none is known for 'xx'"):
        parts_of(encoder, {"xx": TEXTS})


def test_float16_leaves_three_decimals_of_a_measure_alone(checkpoint):
    body = load_backbone(str(checkpoint("xlmr")), torch.device("cpu"))
    encoder = frozen(body)
    texts = {"en": [f"{a} and {b}" for a in TEXTS for b in TEXTS], "de": [f"{b} {a}" for a in TEXTS for b in TEXTS]}
    found = {language: states(encoder, language, lines) for language, lines in texts.items()}
    exact = {
        language: layer_states(body.encoder, body.tokenizer, lines, max_length=32) for language, lines in texts.items()
    }
    assert any(not torch.equal(found[language], exact[language]) for language in texts)
    rows = zip(*(compare_languages(one, permutations=20, replicates=20) for one in (found, exact)), strict=True)
    for ours, theirs in rows:
        for name in ("cka", "cka_biased", "anc"):
            assert ours[name] == pytest.approx(theirs[name], abs=5e-4), name


@pytest.mark.parametrize("first", ["probe", "analyze"])
def test_what_one_command_has_computed_the_other_reads(first, checkpoint, tmp_path, monkeypatch, capsys):
    folder, data = str(checkpoint("mbert")), ["--data", "sample", "--languages", "en,de", "--max-length", "64"]
    probe = ["probe", "--model", folder, "--tasks", "nc", "--layers", "all", *data, "--output", str(tmp_path / "p")]
    draws = ["--permutations", "20", "--replicates", "20"]
    cka = ["analyze", "cka", folder, folder, "--task", "nc", *data, *draws, "--output", str(tmp_path / "a")]
    computed = []
    batches = FrozenEncoder._batches

    def counted(self, part, block, layers):
        computed.append(part.title)
        return batches(self, part, block, layers)

    monkeypatch.setattr(FrozenEncoder, "_batches", counted)
    seen = []
    for command in (probe, cka) if first == "probe" else (cka, probe):
        with pytest.raises(SystemExit) as end:
            cli.main(command)
        assert end.value.code == 0
        assert "GB to be computed and kept" in capsys.readouterr().err
        seen.append([*computed])
        computed.clear()
    assert len(seen[0]) == (3 if first == "probe" else 2)
    assert seen[1] == ([] if first == "probe" else ["NC en train"])
    record = json.loads((tmp_path / "a" / "cka.json").read_text())
    assert record["states"] == "float16, each vector divided by a power of two"


def test_an_analysis_may_be_refused_disk(checkpoint, tmp_path, capsys):
    command = ["analyze", "languages", "--model", str(checkpoint("mbert")), "--data", "sample", "--task", "xnli"]
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--max-disk", "0.000001", "--output", str(tmp_path / "out")])
    assert end.value.code == 2
    assert "more than --max-disk allows" in capsys.readouterr().err
    assert not (tmp_path / "out" / "languages.csv").exists()
