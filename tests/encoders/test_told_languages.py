"""Encoders that are told the language of each input: XLM with its embeddings, X-MOD with its adapters, any other."""

from __future__ import annotations

import inspect

import pytest
import torch
from transformers import XLMConfig, XLMModel, XmodConfig, XmodModel

from tests.helpers import tokenizers
from tests.helpers.training import CPU, backbone, pairs, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.backbone import Backbone
from xglue_harness.encoders.calling import check_arguments, language_argument
from xglue_harness.encoders.inputs import collate
from xglue_harness.encoders.told_languages import check_languages, language_number, language_numbers
from xglue_harness.errors import EncoderError
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.training.model import build_model

XLM15 = TASKS["xnli"].languages
XNLI = TASKS["xnli"]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def _xlm(**facts):
    words = tokenizers.bert()
    known = {"n_langs": 15, "use_lang_emb": True, "lang2id": {code: i for i, code in enumerate(XLM15)}, **facts}
    pads = {"pad_index": words.pad_token_id, "pad_token_id": words.pad_token_id}
    sizes = {"emb_dim": 16, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 64, "embed_init_std": 0.5}
    config = XLMConfig(vocab_size=len(words), **sizes, **pads, **known)
    return Backbone(XLMModel(config).eval(), words, config, CPU, "xlm")


def _xmod(languages=("de_DE", "en_XX", "sw_KE"), **facts):
    words = tokenizers.bert()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    more = {"max_position_embeddings": 64, "pad_token_id": 0, "initializer_range": 0.5, **facts}
    config = XmodConfig(vocab_size=len(words), languages=list(languages), **sizes, **more)
    return Backbone(XmodModel(config, add_pooling_layer=False).eval(), words, config, CPU, "xmod")


def _logits(body, language):
    prepared = prepare(body, XNLI, recipe("xnli"), pairs(6), language)
    torch.manual_seed(1)
    model = build_model(body, XNLI, recipe("xnli"))
    return model, prepared, predict(model, body, recipe("xnli"), [prepared], progress=False)[0].scores


@pytest.mark.parametrize("make", [_xlm, _xmod])
def test_the_encoder_is_told_the_language(make):
    body = make()
    model, prepared, german = _logits(body, "de")
    assert german != _logits(body, "sw")[2]
    assert german == _logits(body, "de")[2]
    batch = collate(prepared.inputs, [0, 1, 2], body.tokenizer.pad_token_id)
    number = language_number(body, "de")
    assert batch["languages"].tolist() == [number] * 3
    ids, mask = batch["input_ids"], batch["attention_mask"]
    told = {"langs": torch.full_like(ids, number)} if make is _xlm else {"lang_ids": torch.full((3,), number)}
    with torch.no_grad():
        expected = body.encoder(ids, attention_mask=mask, **told).last_hidden_state
        hidden = model.eval()(ids, mask, languages=batch["languages"], output_hidden_states=True)["hidden_states"][-1]
    assert torch.equal(hidden, expected)


@pytest.mark.parametrize("make", [_xlm, _xmod])
def test_equal_texts_of_two_languages_are_two_inputs(make):
    body = make()
    model, german, alone = _logits(body, "de")
    swahili = prepare(body, XNLI, recipe("xnli"), pairs(6), "sw")
    together = predict(model, body, recipe("xnli"), [german, swahili, german], progress=False)
    assert [part.duplicates for part in together] == [0, 0, 6]
    for found, expected in zip(together[0].scores, alone, strict=True):
        assert found == pytest.approx(expected, abs=1e-5)
    assert together[2].scores == together[0].scores
    assert together[1].scores != together[0].scores


def test_words_are_told_their_language_too():
    body, options = _xlm(), recipe("pos", max_length=8)
    prepared = prepare(body, TASKS["pos"], options, sentences(9), "fr")
    assert set(prepared.inputs.languages.tolist()) == {XLM15.index("fr")}
    assert len(prepared.inputs.languages) == len(prepared.inputs)


def test_others_are_not():
    body = backbone()
    assert language_numbers(body.encoder, body.tokenizer) is None
    assert prepare(body, XNLI, recipe("xnli"), pairs(2), "de").inputs.languages is None
    for facts in ({"use_lang_emb": False}, {"n_langs": 1, "lang2id": None}):
        assert language_argument(_xlm(**facts).encoder) is None
        assert language_number(_xlm(**facts), "nl") is None


@pytest.mark.parametrize("make", [_xlm, _xmod])
def test_a_language_that_it_does_not_know_is_refused(make):
    body = make()
    known = ", ".join(sorted(language_numbers(body.encoder, body.tokenizer)))
    with pytest.raises(EncoderError, match=rf"does not know 'nl'; it knows {known}\. Choose leaves.*\"dev\": \"en\""):
        prepare(body, XNLI, recipe("xnli"), pairs(2), "nl")
    check_languages(body, ["de", "en", "sw"])
    with pytest.raises(EncoderError, match="'nl'"):
        check_languages(body, ["de", "nl"])


@pytest.mark.parametrize(
    ("codes", "language", "code"),
    [
        (["de", "en"], "de", "de"),
        (["en_XX", "de_DE"], "de", "de_DE"),
        (["eng_Latn", "deu_Latn"], "de", "deu_Latn"),
        (["eng", "deu"], "de", "deu"),
        (["EN", "De"], "de", "De"),
        (["en-US", "de-AT"], "de", "de-AT"),
        (["zh-tw", "zh-cn", "en"], "zh", "zh-cn"),
        (["zh_Hant", "zh_Hans"], "zh", "zh_Hans"),
        (["zho_Hant", "zho_Hans"], "zh", "zho_Hans"),
        (["zh_TW", "zh_CN"], "zh", "zh_CN"),
        (["zh"], "zh", "zh"),
        (["ar_AR", "ar_EG"], "ar", "ar_AR"),
        (["pt_BR", "pt_XX"], "pt", "pt_XX"),
        (["vi_VN"], "vi", "vi_VN"),
    ],
)
def test_codes_of_many_forms_are_read(codes, language, code):
    facts = {"n_langs": len(codes), "lang2id": {name: place for place, name in enumerate(codes)}}
    if len(codes) == 1:
        facts = {"n_langs": 2, "lang2id": {codes[0]: 0, "xx": 1}}
    assert language_number(_xlm(**facts), language) == facts["lang2id"][code]


@pytest.mark.parametrize(("codes", "language"), [(["pt_BR", "pt_PT"], "pt"), (["de_AT", "de_CH"], "de")])
def test_two_kinds_of_a_language_are_no_choice_of_ours(codes, language):
    facts = {"n_langs": 2, "lang2id": dict(zip(codes, range(2), strict=True))}
    with pytest.raises(EncoderError, match=f"has several for '{language}' \\({codes[0]}, {codes[1]}\\)"):
        language_number(_xlm(**facts), language)


def test_where_the_numbers_stand():
    for facts in ({"lang2id": None, "id2lang": {"0": "de", "1": "en"}}, {"lang2id": {"de": "0", "en": "1"}}):
        assert language_numbers(_xlm(n_langs=2, **facts).encoder, None) == {"de": 0, "en": 1}
    old = _xlm(n_langs=2, lang2id=None, id2lang=None)
    old.tokenizer.lang2id = {"en": 0, "de": 1}
    assert language_number(old, "de") == 1
    del old.tokenizer.lang2id
    with pytest.raises(EncoderError, match=r"langs\), and its configuration does not say which number is which"):
        language_number(old, "de")
    for wrong in (2, -1, "two", None, 1.5):
        body = _xlm(n_langs=2)
        body.config.lang2id = {"de": 0, "en": wrong}
        with pytest.raises(EncoderError, match=r"number of 'en' in lang2id of config\.json is none of 0 to 1"):
            language_number(body, "de")


def test_training_leaves_the_adapters_of_languages_alone():
    body = _xmod()
    model = build_model(body, XNLI, recipe("xnli"))
    still = [name for name, one in model.named_parameters() if not one.requires_grad]
    assert still
    assert all("adapter_modules" in name for name in still)
    assert len(still) == sum("adapter_modules" in name for name, _ in model.named_parameters())
    assert all(one.requires_grad for one in build_model(backbone(), XNLI, recipe("xnli")).parameters())


def _encoder(signature):
    """A module with a forward pass of this signature."""
    scope: dict = {}
    exec(f"def forward(self, {signature}): pass", scope)
    module = torch.nn.Module()
    module.config = backbone().config
    module.forward = scope["forward"].__get__(module)
    return module


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("input_ids, attention_mask, speaker", "it needs speaker, which text does not give"),
        ("input_ids, attention_mask, *, bbox", "it needs bbox, which"),
        ("input_ids=None, attention_mask=None, bbox=None", "it was trained with bbox, which text does not give"),
        ("input_ids=None, attention_mask=None, xpath_tags_seq=None", "trained with xpath_tags_seq"),
        ("input_ids=None, attention_mask=None, pixel_values=None", "trained with pixel_values"),
        ("input_ids=None, attention_mask=None, language=None", "told the language by language; known here are langs"),
        ("input_ids=None, attention_mask=None, lang_id=None", "told the language by lang_id"),
        ("input_ids=None", "does not tell padding from text"),
        ("input_features=None, attention_mask=None", "it reads no text"),
    ],
)
def test_what_needs_more_than_text_is_refused(signature, message):
    with pytest.raises(EncoderError, match=message):
        check_arguments(_encoder(signature))


def test_what_needs_no_more_is_taken():
    for signature in ("input_ids, attention_mask, token_type_ids", "input_ids, attention_mask=None, **more"):
        check_arguments(_encoder(signature))
    without = _encoder("input_ids, attention_mask, token_type_ids")
    without.config = type(without.config)(type_vocab_size=1)
    with pytest.raises(EncoderError, match="it needs token_type_ids"):
        check_arguments(without)
    assert "langs" in inspect.signature(_xlm().encoder.forward).parameters
