"""Arguments of a model as a command line gives them: names that look like numbers, switches, options, devices."""

from __future__ import annotations

import pytest
import torch

from tests.helpers import tokenizers
from tests.helpers.language_models import ScriptedLM
from xglue_harness.errors import EncoderError, RecipeError
from xglue_harness.harness.encoder_lm import EncoderLM
from xglue_harness.harness.model_arguments import check_strings, check_switches
from xglue_harness.harness.plugin import register
from xglue_harness.recipe import parse_options

LEAF = "xglue_xnli_zs_de"


class _Noting(ScriptedLM):
    """Notes its arguments."""

    def __init__(self, **arguments):
        super().__init__("right")
        self.arguments = arguments


def _parsed(text):
    """What lm-eval's command line makes of ``--model_args``, and what a model gets by its Python interface."""
    from lm_eval._cli.utils import key_val_to_dict

    register()
    return key_val_to_dict(text), _Noting.create_from_arg_string(text).arguments


@pytest.mark.parametrize("name", ["pretrained", "revision", "subfolder", "tokenizer", "peft"])
@pytest.mark.parametrize("word", ["1.10", "0012345", "12345", "1e5", "True", "false", "1_000", "nan", "inf", "-3"])
def test_a_name_that_became_a_number_is_refused_and_the_quoting_that_is_named_works(name, word):
    for arguments in _parsed(f"{name}={word}"):
        with pytest.raises(EncoderError, match=rf"argument {name} is .*--model_args 'pretrained=...,{name}=\"1.10\"'"):
            check_strings(arguments)
    for arguments in _parsed(f'{name}="{word}"'):
        assert arguments == {name: word}
        check_strings(arguments)


def test_what_is_no_number_is_taken():
    for arguments in _parsed("pretrained=org/model,revision=v1.10,tokenizer=None,peft=None,subfolder=a/1"):
        check_strings(arguments)
    with pytest.raises(EncoderError, match="argument device is 0"):
        check_strings({"device": 0})
    check_strings({"pretrained": torch.nn.Identity(), "tokenizer": tokenizers.bert(), "dtype": torch.float16})
    for arguments in _parsed("revision=None"):
        with pytest.raises(EncoderError, match="revision is None"):
            check_strings(arguments)


@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_a_run_refuses_it_before_anything_is_trained(model, evaluate, tiny, tmp_path):
    for arguments in ({"revision": 1.1}, {"revision": 12345}, f"pretrained={tiny},revision=1.10"):
        given = arguments if isinstance(arguments, str) else {"pretrained": str(tiny), **arguments}
        with pytest.raises(EncoderError, match=r"the model's argument revision is (1.1|12345), which is no string"):
            evaluate([LEAF], model=model, model_args=given, device="cpu", limit=8)
    with pytest.raises(EncoderError, match="the model's argument pretrained is 123"):
        evaluate([LEAF], model="hf-encoder", model_args="pretrained=123", device="cpu", limit=8)


def test_a_word_is_no_switch(tiny):
    for value in ("no", "yes", "0", 2, [], "False"):
        with pytest.raises(EncoderError, match=r"argument trust_remote_code is .*: give True or False"):
            check_switches({"trust_remote_code": value})
    check_switches({"trust_remote_code": False, "use_fast_tokenizer": True})
    with pytest.raises(EncoderError, match="trust_remote_code is 'no'"):
        EncoderLM(str(tiny), trust_remote_code="no")


@pytest.mark.parametrize("text", ["cka", "cka+spectra", "cka+"])
def test_names_of_diagnostics_in_one_word(text):
    assert parse_options({"diagnostics": text}).diagnostics == tuple(filter(None, text.split("+")))
    assert parse_options({"diagnostics": ["cka"]}).diagnostics == ("cka",)
    with pytest.raises(RecipeError, match="diagnostics=3"):
        parse_options({"diagnostics": 3})


@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_options_of_the_tasks_may_stand_among_the_arguments_of_the_model(model, evaluate, tiny):
    arguments = f"pretrained={tiny},diagnostics=cka,epochs=2,train_limit=8"  # the command line hands them to both
    options = {"diagnostics": "cka", "epochs": 2, "train_limit": 8}
    found = evaluate([LEAF], options, model=model, model_args=arguments, device="cpu", limit=8)
    assert "cka_pretrained,none" in found["results"][LEAF]


@pytest.mark.usefixtures("own_store")
@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_a_chat_template_has_no_effect_and_that_is_said(model, evaluate, tiny, caplog):
    ways = {"model": model, "device": "cpu", "limit": 8}
    plain = evaluate([LEAF], **ways)
    caplog.clear()
    found = evaluate([LEAF], apply_chat_template=True, **ways)
    assert found["results"][LEAF] == plain["results"][LEAF]
    assert caplog.text.count("--apply_chat_template has no effect") == 1


@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_a_run_of_no_documents_is_refused(model, evaluate, own_store):
    with pytest.raises(RecipeError, match=r"xglue_xnli_zs_de: 0 documents .*: raise --limit"):
        evaluate([LEAF], model=model, device="cpu", limit=0)
    assert not own_store.exists()


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is one")
@pytest.mark.parametrize("model", ["hf", "hf-encoder"])
def test_a_device_that_is_not_there_is_named(model, evaluate):
    with pytest.raises(EncoderError, match="there is no device 'mps' here: give cpu, or leave device out"):
        evaluate([LEAF], model=model, device="mps", limit=8)
