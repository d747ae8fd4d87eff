"""Every family: ``hf`` and ``hf-encoder`` hold the same encoder, the tokenizer's inputs, words and language codes."""

from __future__ import annotations

import random

import pytest
import torch
import transformers

import xglue_harness.hook  # noqa: F401  (teaches lm_eval's hf)
from tests.helpers import families
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders import subwords as inputs
from xglue_harness.encoders.backbone import check_trainable, encoder_of, weights_sha256
from xglue_harness.encoders.dropout import set_dropout
from xglue_harness.encoders.inputs import collate
from xglue_harness.encoders.languages import MBART_CODES, NLLB_CODES, reading
from xglue_harness.encoders.loading import Checkpoint, load_backbone, load_config, load_encoder, load_tokenizer
from xglue_harness.encoders.pooling import default_pooling
from xglue_harness.encoders.probe import position_limit, probe_padding
from xglue_harness.encoders.subwords import Texts
from xglue_harness.encoders.tokenising import tokenised
from xglue_harness.errors import EncoderError

LANGUAGES = sorted({language for spec in TASKS.values() for language in spec.languages})
ODD_WORDS = [
    "the",
    "▁",
    " ",
    "\u200b",
    "\ufeff",
    "\u00ad",
    "\x00",
    "a\u0301\u0302",
    "\u0301",
    "👩\u200d👩\u200d👧",
    "🇩🇪",
    "中国",
    "ประเทศ",
    "x" * 400,
    "中" * 300,
    "ﷺ",
    "dog",
]


def _encoder(folder):
    found = Checkpoint(str(folder))
    return load_encoder(found, load_config(found))


def _tokenizer(folder):
    return load_tokenizer(Checkpoint(str(folder)))


@pytest.mark.parametrize("family", families.FAMILIES)
def test_hf_and_hf_encoder_hold_the_encoder_of_the_whole_model(family, checkpoint):
    from lm_eval.models.huggingface import HFLM

    from xglue_harness.harness.encoder_lm import EncoderLM

    folder = checkpoint(family)
    theirs, ours = HFLM(pretrained=str(folder), device="cpu"), EncoderLM(str(folder), device="cpu")
    assert type(theirs.tokenizer) is type(ours.tokenizer)
    whole = families.whole(folder)
    sentences = [texts[0] for texts in families.texts().values()]
    batch = families.batch(ours.tokenizer, sentences)
    assert (batch["attention_mask"] == 0).any(), "no padding in the batch"
    expected = families.hidden_states(whole, batch)
    encoders = [encoder_of(theirs.model), ours.model]
    for encoder in encoders:
        check_trainable(encoder)
        with torch.no_grad():
            assert torch.equal(encoder(**batch).last_hidden_state, expected)
    assert weights_sha256(encoders[0]) == weights_sha256(encoders[1])
    assert encoders[0].state_dict().keys() == encoders[1].state_dict().keys()


@pytest.mark.parametrize("family", families.FAMILIES)
def test_one_text_and_pairs_are_as_the_tokenizer_builds_them(family, checkpoint):
    tokenizer, rng = _tokenizer(checkpoint(family)), random.Random(0)
    texts = [text for language in families.texts().values() for text in language[:2]]
    frame, pairs = inputs.single_frame(tokenizer), inputs.pair_frame(tokenizer)
    joined = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    first = Texts.of(inputs.plain_ids(tokenizer, texts))
    for length in range(8, 41):
        expected = [tokenizer(text, truncation=True, max_length=length)["input_ids"] for text in texts]
        assert inputs.encode(frame, first, None, length).texts.lists() == expected
    others = rng.choices(texts, k=len(texts))
    second = Texts.of(inputs.plain_ids(tokenizer, others))
    built = inputs.encode(pairs, first, second, 1000).texts.lists()
    for ids, size, *pair in zip(built, first.lengths.tolist(), texts, others, strict=True):
        whole, between = tokenizer(*pair)["input_ids"], len(pairs.before) + size
        if len(ids) == len(whole) + 1:  # a separator was put in
            assert ids.pop(between) == joined
        assert ids == whole


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_word_gets_a_subword_of_its_own(family, checkpoint):
    tokenizer = _tokenizer(checkpoint(family))
    sentences = [ODD_WORDS, ODD_WORDS[::-1], [" "], ["\u200b", "\u200b"], ["the"]]
    found = inputs.words_of(tokenizer, sentences).lists()
    size = len(ODD_WORDS)
    assert len(found) == 2 * size + 4
    assert all(found)
    assert found[0] == found[2 * size - 1] == found[-1], "a word's subwords depend on where it stands"
    assert found[:size] == found[size : 2 * size][::-1], "a word's subwords depend on its neighbours"
    assert found[:size] == [inputs.words_of(tokenizer, [[word]]).lists()[0] for word in ODD_WORDS]


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_word_gets_one_prediction_however_long(family, checkpoint):
    tokenizer, spec = _tokenizer(checkpoint(family)), TASKS["pos"]
    rows = [
        {"words": words, "pos": [1] * len(words)} for words in (ODD_WORDS * 3, ["x" * 400], [" "], ["中" * 300] * 2)
    ]
    found = tokenised(spec, rows, tokenizer, "en", 32)
    answered = [[] for _ in rows]
    for index, (row, first) in enumerate(zip(found.rows.tolist(), found.first_words.tolist(), strict=True)):
        assert len(found.subwords_of(index)) <= 32
        positions = found.positions[found.words_of(index)].tolist()
        assert len(set(positions)) == len(positions)
        assert all(0 <= position < found.lengths[index] for position in positions)
        answered[row].extend(range(first, first + len(positions)))
    assert answered == [list(range(len(row["words"]))) for row in rows]


@pytest.mark.parametrize("family", families.FAMILIES)
def test_dropout_is_set_everywhere(family, checkpoint):
    folder = checkpoint(family)
    encoder = _encoder(folder)
    batch = families.batch(_tokenizer(folder), ["the dog", "one more sentence"])

    def run():
        with torch.no_grad():
            return encoder(**batch).last_hidden_state

    still = run()
    set_dropout(encoder, 0.3)
    assert torch.equal(run(), still), "dropout in evaluation mode"
    encoder.train()
    assert not torch.equal(run(), run())
    set_dropout(encoder, 0.0)
    assert torch.equal(run(), run())
    assert torch.equal(run(), still)


@pytest.mark.parametrize(
    ("family", "codes"),
    [("mbart50", MBART_CODES), ("nllb", NLLB_CODES), ("m2m100", {language: language for language in LANGUAGES})],
)
def test_every_example_carries_its_language(family, codes, checkpoint, caplog):
    tokenizer = _tokenizer(checkpoint(family))
    assert sorted(codes) == LANGUAGES
    spec, before = TASKS["xnli"], tokenizer.src_lang
    row = {"premise": "the dog", "hypothesis": "the dog", "label": 0}
    seen = set()
    for language in LANGUAGES * 2:  # training, then each test language; and again, as a second task would
        tokenizer.src_lang = codes[language] or "en_XX"
        expected = tokenizer("the dog")["input_ids"]
        tokenizer.src_lang = before
        ids = tokenised(spec, [row], tokenizer, language, 64).subwords_of(0).tolist()
        assert ids[0] == expected[0]
        assert ids[-1] == expected[-1]
        seen.add(ids[0])
        words = tokenised(TASKS["pos"], [{"words": ["the", "dog"], "pos": [0, 1]}], tokenizer, language, 64)
        assert words.subwords_of(0).tolist() == expected
        assert len(words) == 1
        assert tokenizer.src_lang == before
    missing = sorted(language for language, code in codes.items() if code is None)
    assert len(seen) == len(LANGUAGES) - len(missing)
    said = [record.args[0] for record in caplog.records if "no code for" in record.message]
    assert sorted(said) == missing, "the fallback is said once for each language"


@pytest.mark.parametrize("family", ["mbart50", "nllb", "m2m100"])
def test_a_wrong_language_code_changes_what_the_encoder_gives(family, checkpoint):
    folder = checkpoint(family)
    encoder, tokenizer = _encoder(folder), _tokenizer(folder)
    codes = {"mbart50": MBART_CODES, "nllb": NLLB_CODES}.get(family, {"de": "de"})
    sentence = families.texts()["de"][0]

    def read(language):
        row = {"words": sentence.split(), "pos": [0] * len(sentence.split())}
        batch = collate(tokenised(TASKS["pos"], [row], tokenizer, language, 64), [0], tokenizer.pad_token_id)
        with torch.no_grad():
            return encoder(batch["input_ids"], batch["attention_mask"]).last_hidden_state

    tokenizer.src_lang = codes["de"]
    with torch.no_grad():
        expected = encoder(**families.batch(tokenizer, [sentence])).last_hidden_state
    assert torch.equal(read("de"), expected)
    assert not torch.equal(read("fr"), expected)
    linear = torch.nn.Linear(16, 3)
    assert not torch.equal(linear(read("fr")), linear(expected))


def test_a_new_run_says_the_fallback_again(checkpoint, caplog):
    for _ in range(2):
        tokenizer = _tokenizer(checkpoint("mbart50"))
        for language in ("el", "de", "el"):
            with reading(tokenizer, language):
                pass
    assert [record.args for record in caplog.records] == [("el", "en_XX")] * 2


@pytest.mark.parametrize("family", ["mbart50", "nllb"])
def test_a_tokenizer_that_cannot_change_its_language_is_refused(family, checkpoint, tmp_path):
    tokenizer = _tokenizer(checkpoint(family))
    fixed = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, unk_token="<unk>")
    with pytest.raises(EncoderError, match=r"can't change the language that it reads.*upgrade transformers"):
        tokenised(TASKS["nc"], [], fixed, "de", 64)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_pooling_fits_what_the_family_puts_in_front(family, checkpoint):
    folder = checkpoint(family)
    config, tokenizer = load_config(Checkpoint(str(folder))), _tokenizer(folder)
    has_one = tokenizer.cls_token_id == tokenizer("the")["input_ids"][0] and family != "eurobert"
    expected = "first" if has_one else "mean"
    assert default_pooling(config) == expected


@pytest.mark.parametrize("family", families.FAMILIES)
def test_padding_changes_nothing_and_all_positions_can_be_read(family, checkpoint):
    body = load_backbone(str(checkpoint(family)), torch.device("cpu"))
    limit = position_limit(body, 64) or 64
    found = probe_padding(body, min(limit, 64))
    assert found.batch_rule == "any length"
    assert found.difference < 5e-6


def test_a_bert_without_its_pooler_is_the_same_encoder(checkpoint):
    folder = checkpoint("mbert")
    with_pooler = transformers.BertModel.from_pretrained(folder)
    assert not any(name.startswith("pooler") for name in _encoder(folder).state_dict())
    assert any(name.startswith("pooler") for name in with_pooler.state_dict())
