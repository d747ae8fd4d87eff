"""One pass over all languages: the predictions of one language at a time, and equal inputs only once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import tokenizers
from tests.helpers.training import WORDS, backbone, pairs, recipe, sentences
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.heads import TransferModel
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.prediction.token_budget import TOKENS_A_BATCH
from xglue_harness.training.model import build_model


def _queries(count):
    """WPR documents of two to four rows."""
    return [
        {
            "query": WORDS[number % 8],
            "web_page_title": [WORDS[(number + row) % 8] for row in range(2 + number % 3)],
            "web_page_snippet": [" ".join(WORDS[: 1 + row + number % 4]) for row in range(2 + number % 3)],
            "relavance_label": list(range(2 + number % 3)),
        }
        for number in range(count)
    ]


LONG = {"words": ["catdog"] * 30 + ["the"] * 9, "pos": [3] * 39}
DOCUMENTS = {
    "pos": {"en": [*sentences(9), LONG], "de": [], "fr": [LONG, *sentences(5, 40)]},
    "xnli": {"en": pairs(9), "de": [], "fr": pairs(17)[9:]},
    "wpr": {"en": _queries(5), "de": [], "fr": _queries(9)[4:]},
}
BODY = backbone()


def _model(task, body=BODY):
    """A model that tells inputs apart."""
    torch.manual_seed(3)
    model = build_model(body, TASKS[task], recipe(task))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.5)
    return model


def _prepared(task, documents, body=BODY, length=16):
    chosen = recipe(task, max_length=length)
    return [prepare(body, TASKS[task], chosen, share, language) for language, share in documents.items()]


def _predict(task, prepared, model=None, body=BODY):
    return predict(model or _model(task, body), body, recipe(task), prepared, progress=False)


@pytest.fixture
def shapes(monkeypatch):
    """Shapes of all batches that the encoder reads."""
    seen, forward = [], TransferModel.forward

    def watching(self, input_ids, attention_mask, *args, **kwargs):
        seen.append((*input_ids.shape, int(attention_mask.sum())))
        return forward(self, input_ids, attention_mask, *args, **kwargs)

    monkeypatch.setattr(TransferModel, "forward", watching)
    return seen


@pytest.mark.parametrize("task", DOCUMENTS)
def test_one_pass_gives_the_predictions_of_one_document_at_a_time(task, monkeypatch):
    documents, model = DOCUMENTS[task], _model(task)
    together = _predict(task, _prepared(task, documents), model)
    monkeypatch.setitem(TOKENS_A_BATCH, "cpu", 40)
    small = _predict(task, _prepared(task, documents), model)
    for whole, again, share in zip(together, small, documents.values(), strict=True):
        alone = [_predict(task, _prepared(task, {"en": [document]}), model)[0] for document in share]
        assert whole.values == again.values == [prediction.values[0] for prediction in alone]
        assert whole.missing_words == 0
    column = TASKS[task].label_column
    for predictions, share in zip(together, documents.values(), strict=True):
        golds = [document[column] for document in share]
        if task != "xnli":
            assert [len(value) for value in predictions.values] == [len(gold) for gold in golds]
        assert len(predictions.values) == len(golds)
    values = [label for part in together for value in part.values for label in (value if task != "xnli" else [value])]
    assert len(set(values)) > 1, "the model can't tell inputs apart"


def test_a_long_sentence_is_read_in_windows(shapes):
    [prepared] = _prepared("pos", {"en": [LONG]})
    assert len(prepared.inputs) > 3
    [predictions] = _predict("pos", [prepared])
    assert [len(value) for value in predictions.values] == [39]
    assert max(length for _, length, _ in shapes) <= 16


@settings(deadline=None, max_examples=25)
@given(st.data(), st.sampled_from(list(DOCUMENTS)))
def test_equal_inputs_are_counted_and_computed_once(data, task):
    pool = [document for own in DOCUMENTS[task].values() for document in own]
    chosen = st.lists(st.sampled_from(pool), max_size=6)
    documents = data.draw(st.fixed_dictionaries({"en": chosen, "de": chosen, "fr": chosen}))
    prepared, seen, forward = _prepared(task, documents), [], TransferModel.forward

    def watching(self, input_ids, attention_mask, *args, **kwargs):
        seen.append((*input_ids.shape, int(attention_mask.sum())))
        return forward(self, input_ids, attention_mask, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransferModel, "forward", watching)
        predicted = _predict(task, prepared)
    inputs = [tuple(part.inputs.subwords_of(index).tolist()) for part in prepared for index in range(len(part.inputs))]
    segments = [
        tuple(part.inputs.segments[part.inputs.starts[index] : part.inputs.starts[index + 1]].tolist())
        for part in prepared
        for index in range(len(part.inputs))
    ]
    distinct = set(zip(inputs, segments, strict=True))
    assert sum(rows for rows, _, _ in seen) == len(distinct)
    assert sum(part.duplicates for part in predicted) == len(inputs) - len(distinct)
    assert sum(part.real_tokens for part in predicted) == sum(real for _, _, real in seen)
    assert sum(part.real_tokens for part in predicted) == sum(len(ids) for ids, _ in distinct)
    assert sum(part.padded_tokens for part in predicted) == sum(rows * length for rows, length, _ in seen)
    firsts = set()
    for part, predictions in zip(prepared, predicted, strict=True):  # the first language that has an input computes it
        contents = [tuple(part.inputs.subwords_of(index).tolist()) for index in range(len(part.inputs))]
        assert predictions.duplicates == len(contents) - len(set(contents) - firsts)
        firsts |= set(contents)


def test_equal_subwords_in_other_words_get_the_predictions_of_their_own_words(shapes):
    words = {"words": ["cat", "dog", "the"], "pos": [1, 2, 3]}
    glued = {"words": ["cat dog", "the"], "pos": [1, 3]}
    [first, second] = _predict("pos", _prepared("pos", {"en": [words], "de": [glued]}))
    assert [rows for rows, _, _ in shapes] == [1]
    [whole] = first.values
    assert second.values == [[whole[0], whole[2]]]
    assert (first.duplicates, second.duplicates) == (0, 1)


def test_the_same_text_in_two_languages_is_computed_twice_where_the_tokenizer_tells_them_apart(shapes):
    documents = {"en": pairs(2), "de": pairs(2), "bg": pairs(2)}
    coded = backbone(tokenizer=tokenizers.mbart50())
    predicted = _predict("xnli", _prepared("xnli", documents, coded, 32), body=coded)
    assert sum(rows for rows, _, _ in shapes) == 4
    assert [part.duplicates for part in predicted] == [0, 0, 2], "mBART-50 has no Bulgarian: it is read as English"
    shapes.clear()
    _predict("xnli", _prepared("xnli", documents, length=32))
    assert sum(rows for rows, _, _ in shapes) == 2


@pytest.mark.parametrize("task", DOCUMENTS)
def test_a_batch_that_does_not_fit_is_halved_and_the_predictions_stay(task, monkeypatch):
    prepared, model = _prepared(task, DOCUMENTS[task]), _model(task)
    whole = _predict(task, prepared, model)
    forward, sizes = TransferModel.forward, []

    def small(self, input_ids, *args, **kwargs):
        if input_ids.numel() > 40:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        sizes.append(input_ids.shape)
        return forward(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(TransferModel, "forward", small)
    halved = _predict(task, prepared, model)
    assert [replace(part, scores=[]) for part in halved] == [replace(part, scores=[]) for part in whole]
    for part, other in zip(halved, whole, strict=True):  # sums in another order: the last digits may differ
        assert _flat(part.scores) == pytest.approx(_flat(other.scores), abs=1e-5)
    assert len(sizes) > 3
    assert len({length for _, length in sizes}) > 1, "all halves are equally long"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("shape mismatch")])
def test_an_error_that_halving_does_not_cure_is_raised(error, monkeypatch):
    def broken(self, *args, **kwargs):
        raise error

    monkeypatch.setattr(TransferModel, "forward", broken)
    with pytest.raises(RuntimeError, match=str(error)):
        _predict("pos", _prepared("pos", DOCUMENTS["pos"]))


@pytest.mark.parametrize("task", DOCUMENTS)
def test_nothing_to_predict_is_no_error(task, shapes):
    assert _predict(task, []) == []
    predicted = _predict(task, _prepared(task, {"en": [], "de": []}))
    assert [(part.values, part.duplicates, part.real_tokens) for part in predicted] == [([], 0, 0)] * 2
    assert shapes == []


def _flat(scores):
    return [number for item in scores for number in (_flat(item) if isinstance(item, list) else [item])]


@pytest.mark.parametrize("task", ["xnli", "wpr"])
def test_scores_are_log_probabilities_of_all_classes_whose_best_is_predicted(task):
    for part, predictions in zip(
        DOCUMENTS[task].values(), _predict(task, _prepared(task, DOCUMENTS[task])), strict=True
    ):
        assert len(predictions.scores) == len(predictions.values) == len(part)
        rows = zip(predictions.values, predictions.scores, strict=True)
        if task == "wpr":
            rows = [pair for grades, scores in rows for pair in zip(grades, scores, strict=True)]
        for predicted, scores in rows:
            assert len(scores) == len(TASKS[task].labels)
            assert np.exp(scores).sum() == pytest.approx(1, abs=1e-5)
            assert predicted == np.argmax(scores)


def test_scores_of_words_are_those_of_the_predicted_class():
    model = _model("pos")
    [predictions] = _predict("pos", _prepared("pos", {"en": DOCUMENTS["pos"]["en"]}), model)
    assert [len(scores) for scores in predictions.scores] == [
        len(document["words"]) for document in DOCUMENTS["pos"]["en"]
    ]
    words, tags = DOCUMENTS["pos"]["en"][3]["words"], predictions.values[3]
    encoded = BODY.tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])["logits"][0]
    firsts = [encoded.word_ids().index(word) for word in range(len(words))]
    expected = logits.log_softmax(-1)[firsts, tags]
    assert predictions.scores[3] == pytest.approx(expected.tolist(), abs=1e-5)
    assert all(score < 0 for scores in predictions.scores for score in scores)


@pytest.mark.parametrize("task", ["pos", "xnli"])
def test_scores_in_bf16_are_those_of_plain_autocast(task, monkeypatch):
    chosen, prepared, model = recipe(task, precision="bf16"), _prepared(task, DOCUMENTS[task]), _model(task)

    def scores():
        parts = predict(model, BODY, chosen, prepared, progress=False)
        return [np.concatenate([np.ravel(row) for row in part.scores]) for part in parts if len(part.scores)]

    mine = scores()
    monkeypatch.setattr("xglue_harness.encoders.cpu_linear.Bf16Linear.applies", lambda *_: False)
    for ours, plain in zip(mine, scores(), strict=True):
        assert np.abs(ours - plain).max() <= 0.02 * (1 + np.abs(plain).max())
    monkeypatch.undo()
    with torch.no_grad():
        model.classifier.bias[0] += 100
    assert (mine[0] != scores()[0]).any(), "weights are read anew in each pass"
