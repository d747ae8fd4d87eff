"""What is wrong with the options of a run is said before a model is loaded; what has no effect is said, too."""

from __future__ import annotations

import re

import pytest

from xglue_harness import bars
from xglue_harness.errors import DataError, RecipeError
from xglue_harness.harness.encoder_lm import EncoderLM
from xglue_harness.harness.showing import asking_git_quietly

LEAF = "xglue_qam_zs_de"


@pytest.fixture
def no_model(monkeypatch):
    """Loading a model fails the test."""

    def refuse(*_, **__):
        pytest.fail("a model was loaded")

    monkeypatch.setattr(EncoderLM, "__init__", refuse)


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"epoch": 3}, RecipeError, r"unknown option 'epoch' \(did you mean 'epochs'\?\) in --metadata"),
        ({"epochs": -3}, RecipeError, "bad option in --metadata: epochs=-3: Input should be greater than 0"),
        ({"data": "nowhere"}, DataError, "data: nowhere: no such file or folder; .*"),
        (
            {"diagnostics": ["ckaa"]},
            RecipeError,
            "no diagnostic 'ckaa' is installed; there are: alignment, cka, spectra.*",
        ),
    ],
)
def test_bad_options_are_refused_before_a_model_is_loaded_and_the_last_line_says_why(evaluate, options, error, reason):
    with pytest.raises(error) as found:
        evaluate([LEAF], options)
    assert re.fullmatch(reason, str(found.value).splitlines()[-1])


@pytest.mark.usefixtures("no_model")
def test_an_argument_of_the_model_is_no_option_and_a_bad_switch_is_refused(evaluate, monkeypatch):
    with pytest.raises(RecipeError, match="batch_size among the model's arguments"):
        evaluate([LEAF], model_args="pretrained=somewhere,batch_size=8")
    monkeypatch.setenv("XGLUE_TABLE", "no")
    with pytest.raises(RecipeError, match="XGLUE_TABLE=no: set it to off"):
        evaluate([LEAF])


@pytest.mark.usefixtures("own_store")
def test_options_are_looked_at_without_a_manager_of_tasks_too(tiny):
    from lm_eval import simple_evaluate

    with pytest.raises(RecipeError, match="unknown option 'zzz'"):
        simple_evaluate(model="hf-encoder", model_args={"pretrained": str(tiny)}, tasks=[LEAF], metadata={"zzz": 1})


@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize(("given", "told"), [({}, 0), ({"batch_size": 1}, 0), ({"batch_size": 8}, 1)])
def test_a_batch_size_of_lm_evals_has_no_effect_and_that_is_said(evaluate, caplog, given, told):
    evaluate([LEAF, "xglue_qam_zs_en"], limit=8, device="cpu", **given)
    assert caplog.text.count("--batch_size has no effect") == told


@pytest.mark.usefixtures("own_store")
def test_neither_a_bar_of_what_takes_no_second_nor_gits_complaint(evaluate, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bars, "PATIENCE", 3600.0)
    found = evaluate([LEAF], {"epochs": 0.5}, limit=8, device="cpu")
    shown = capfd.readouterr()
    assert found["git_hash"] is None
    assert "fatal" not in shown.out + shown.err
    assert "/8 [" not in shown.err, "while requests were built, or predicted"
    assert "fine-tuning" not in shown.err
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    evaluate([LEAF], {"epochs": 0.6}, limit=8, device="cpu")
    shown = capfd.readouterr()
    assert "/8 [" in shown.err
    assert "QAM: fine-tuning" in shown.err


def test_git_is_asked_within_a_repository(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.delenv("GIT_DIR", raising=False)
    asked = asking_git_quietly(lambda: "1234567")
    assert asked() is None
    (tmp_path / ".git").mkdir()
    assert asked() == "1234567"
