"""A training as a checkpoint: the family's own class where it computes the same, else ours; both as it was scored."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer, pipeline

from tests.helpers.exports import keep, names, recipe
from tests.helpers.families import Checkpoints, texts
from xglue_harness.benchmark import TASKS
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.encoders.pooling import default_pooling
from xglue_harness.errors import DataError, EncoderError, StoreError
from xglue_harness.export import load
from xglue_harness.export.checkpoint import write
from xglue_harness.export.description import NAME, WEIGHTS, read_description
from xglue_harness.export.trained import chosen_weights, entry_of, rebuilt
from xglue_harness.prediction.predict import predict, prepare
from xglue_harness.store.trainings import Store
from xglue_harness.training.selection import Selected

CPU = torch.device("cpu")
OWN = None
CLASSES = {
    ("mbert", "ner"): "BertForTokenClassification",
    ("mbert", "xnli"): "BertForSequenceClassification",
    ("xlmr", "pos"): "XLMRobertaForTokenClassification",
    ("xlmr", "wpr"): "XLMRobertaForSequenceClassification",
    ("deberta", "ner"): "DebertaV2ForTokenClassification",
    ("deberta", "nc"): "DebertaV2ForSequenceClassification",
    ("distilbert", "ner"): "DistilBertForTokenClassification",
    ("distilbert", "xnli"): OWN,
    ("modernbert", "pos"): OWN,
    ("nllb", "ner"): OWN,
    ("mbart50", "xnli"): OWN,
    ("m2m100", "pos"): OWN,
    ("mt5", "qam"): OWN,
}
SENTENCES = {
    "en": [["Wien", "and", "Graz", ",", "2015", "."], ["O"], ["the"] * 60],
    "de": [["Die", "Universität", "Zürich"], ["Angela", "Merkel", "sprach", "."]],
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return Checkpoints(tmp_path_factory.mktemp("families"))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def _trained(checkpoints, store, family, task, **options):
    backbone = load_backbone(str(checkpoints(family)), CPU)
    options = {"pooling": default_pooling(backbone.config), **options}
    return rebuilt(keep(store, backbone, recipe(task, **options)), Selected(2.0), backbone)


def _pairs(language):
    sentences = texts()[language]
    return [{"premise": first, "hypothesis": second} for first, second in pairwise(sentences)]


def _as_the_run(trained, rows, language):
    """Classes by name, through the path that a run takes."""
    spec = trained.spec
    label = spec.label_column
    rows = [{**row, label: [0] * len(row["words"]) if "words" in row else 0} for row in rows]
    prepared = prepare(trained.backbone, spec, trained.recipe, rows, language)
    [found] = predict(trained.model, trained.backbone, trained.recipe, [prepared], progress=False)
    return [
        [spec.labels[one] for one in value] if isinstance(value, list) else spec.labels[value] for value in found.values
    ]


def _snippet(folder):
    """The first example of a model card."""
    found = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    return found[0]


@pytest.mark.parametrize(("family", "task"), CLASSES)
def test_what_is_written_computes_what_was_trained(checkpoints, store, tmp_path, family, task):
    trained = _trained(checkpoints, store, family, task)
    folder = tmp_path / "out"
    written = write(trained, folder, [])
    assert written.family_class == CLASSES[family, task]
    assert written.difference <= 1e-5
    assert {"config.json", "README.md", NAME} < names(folder)
    assert ({WEIGHTS, "model.safetensors"} & names(folder)) == {
        "model.safetensors" if written.family_class else WEIGHTS
    }
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert [config["id2label"][str(number)] for number in range(len(trained.spec.labels))] == [*trained.spec.labels]


@pytest.mark.parametrize("family", ["mbert", "xlmr", "deberta"])
@pytest.mark.parametrize("task", ["ner", "xnli"])
def test_transformers_own_class_gives_our_scores_in_a_padded_batch(checkpoints, store, tmp_path, family, task):
    trained = _trained(checkpoints, store, family, task)
    write(trained, tmp_path / "out", [])
    auto = AutoModelForTokenClassification if task == "ner" else AutoModelForSequenceClassification
    batch = AutoTokenizer.from_pretrained(tmp_path / "out")(texts()["en"][:6], padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = auto.from_pretrained(tmp_path / "out").eval()(**batch).logits
        ours = trained.model(**batch)["logits"]
    real = batch["attention_mask"].bool() if task == "ner" else slice(None)
    assert ours[real].std() > 0.01
    torch.testing.assert_close(theirs[real], ours[real], rtol=1e-5, atol=1e-5)


def test_no_class_of_transformers_takes_the_encoder_alone(checkpoints, store, tmp_path):
    write(_trained(checkpoints, store, "modernbert", "ner"), tmp_path / "out", [])
    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModelForTokenClassification.from_pretrained(tmp_path / "out")


def test_another_pooling_than_the_familys_is_ours(checkpoints, store, tmp_path):
    written = write(_trained(checkpoints, store, "xlmr", "xnli", pooling="mean"), tmp_path / "out", [])
    assert written.family_class is OWN


@pytest.mark.parametrize("family", ["mbert", "xlmr", "nllb", "m2m100", "modernbert"])
def test_what_is_read_back_gives_the_runs_tags_in_every_language(checkpoints, store, tmp_path, family):
    trained = _trained(checkpoints, store, family, "ner")
    write(trained, tmp_path / "out", [])
    model = load(tmp_path / "out")
    found = set()
    for language, special in SENTENCES.items():
        sentences = special + [text.split() for text in texts()[language]]
        rows = [{"words": words} for words in sentences]
        tags = model.predict(rows, language)
        found |= {tag for row in tags for tag in row}
        assert tags == _as_the_run(trained, rows, language)
        assert list(map(len, tags)) == list(map(len, sentences))
    assert len(found) > 1


@pytest.mark.parametrize("task", ["xnli", "wpr"])
def test_so_it_does_with_pairs(checkpoints, store, tmp_path, task):
    trained = _trained(checkpoints, store, "mbart50", task)
    write(trained, tmp_path / "out", [])
    sentences = texts()["de"]
    spec = TASKS[task]
    columns = (*spec.text_a, *spec.text_b)
    rows = [dict(zip(columns, sentences[start:], strict=False)) for start in range(8)]
    labels = load(tmp_path / "out").predict(rows, "de")
    inputs = [dict(row) for row in rows]
    if task == "xnli":
        assert labels == _as_the_run(trained, inputs, "de")
    assert len(labels) == 8
    assert set(labels) <= {*spec.labels}
    with pytest.raises(DataError, match=f"row 0 has no .*{columns[-1]}; {spec.title} reads"):
        load(tmp_path / "out").predict([{columns[0]: "a"}], "de")


@pytest.mark.parametrize("family", ["mbert", "xlmr", "eurobert"])
def test_the_cards_example_gives_the_runs_tags(checkpoints, store, tmp_path, family):
    trained = _trained(checkpoints, store, family, "ner")
    written = write(trained, tmp_path / "out", [])
    assert written.family_class
    space = {"PATH": str(tmp_path / "out")}
    exec(_snippet(tmp_path / "out"), space)
    for language in ("en", "de"):
        sentences = [text.split() for text in texts()[language] if len(text) < 60]
        wanted = _as_the_run(trained, [{"words": words} for words in sentences], language)
        assert [space["tags"](words) for words in sentences] == wanted
        assert len({tag for row in wanted for tag in row}) > 1


def test_the_cards_example_gives_the_runs_classes(checkpoints, store, tmp_path):
    trained = _trained(checkpoints, store, "xlmr", "xnli")
    write(trained, tmp_path / "out", [])
    rows = _pairs("de")
    wanted = _as_the_run(trained, rows, "de")
    classify = pipeline("text-classification", model=str(tmp_path / "out"))
    given = [{"text": row["premise"], "text_pair": row["hypothesis"]} for row in rows]
    assert [one["label"] for one in classify(given, truncation=True)] == wanted
    assert '{"text": premise, "text_pair": hypothesis}' in _snippet(tmp_path / "out")


def test_the_epoch_that_is_asked_for_is_written(checkpoints, store, tmp_path):
    backbone = load_backbone(str(checkpoints("mbert")), CPU)
    entry = keep(store, backbone, recipe("ner"))
    assert chosen_weights(entry, None) == Selected(2.0)
    scores = []
    for epoch in (1.0, 2.0):
        trained = rebuilt(entry, chosen_weights(entry, f"{epoch:g}"), backbone)
        write(trained, tmp_path / f"{epoch}", [])
        model = AutoModelForTokenClassification.from_pretrained(tmp_path / f"{epoch}")
        scores.append(model.classifier.weight)
        assert torch.equal(model.classifier.weight, entry.read(epoch)["classifier.weight"])
        assert f"| en | {epoch / 4:.4f} |" in (tmp_path / f"{epoch}" / "README.md").read_text(encoding="utf-8")
    assert not torch.equal(*scores)
    for wanted in ("1.5", "average_last_3", "best"):
        with pytest.raises(
            StoreError, match=f"no weights of epoch {wanted}; kept are those that a rule may select: 1, 2"
        ):
            chosen_weights(entry, wanted)


def test_the_mean_of_the_epochs_can_be_exported(checkpoints, store, tmp_path):
    backbone = load_backbone(str(checkpoints("mbert")), CPU)
    entry = keep(store, backbone, recipe("ner"))
    weights = chosen_weights(entry, "average")
    assert weights == Selected(2.0, 2) == chosen_weights(entry, "average_last_2")
    write(rebuilt(entry, weights, backbone), tmp_path / "mean", [])
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "mean")
    expected = torch.stack([entry.read(epoch)["classifier.weight"].double() for epoch in (1.0, 2.0)]).mean(dim=0)
    assert torch.equal(model.classifier.weight, expected.float())
    card = (tmp_path / "mean" / "README.md").read_text(encoding="utf-8")
    assert "after 2 of 2 epochs, the mean of the weights at the ends of 2 of them." in card
    assert "On the dev sets" not in card
    assert read_description(tmp_path / "mean").averaged == 2


def test_rows_of_the_table_that_were_not_trained_are_the_backbones(checkpoints, store, tmp_path):
    trained = _trained(checkpoints, store, "mbert", "ner")
    write(trained, tmp_path / "out", [])
    table = AutoModelForTokenClassification.from_pretrained(tmp_path / "out").get_input_embeddings().weight
    before = trained.backbone.encoder.get_input_embeddings().weight
    moved = (table != before).any(dim=1).nonzero().flatten().tolist()
    assert set(range(5, 30)) <= {*moved} <= {0, *range(5, 30)}  # 0 is padding


def test_another_backbone_than_the_one_that_was_trained_is_refused(checkpoints, store):
    backbone = load_backbone(str(checkpoints("mbert")), CPU)
    entry = keep(store, backbone, recipe("ner"))
    with torch.no_grad():
        next(backbone.encoder.parameters())[0, 0] += 1e-3
    with pytest.raises(EncoderError, match=f"is not what {entry.key[:12]} was trained from: its weights changed"):
        rebuilt(entry, Selected(2.0), backbone)


def test_keys_are_found_by_their_first_digits(checkpoints, store):
    backbone = load_backbone(str(checkpoints("mbert")), CPU)
    entries = [keep(store, backbone, recipe("ner", learning_rate=rate)) for rate in (1e-5, 2e-5, 3e-5)]
    for entry in entries:
        assert entry_of(store, entry.key[:20]).key == entry.key
    with pytest.raises(StoreError, match="no entry's key begins with 'xyz'"):
        entry_of(store, "xyz")
    with pytest.raises(StoreError, match="no entry's key begins with ''"):
        entry_of(store, "")
    twin = store.entry_folder(entries[0].key[:-1] + "x")
    twin.mkdir()
    with pytest.raises(StoreError, match=r"2 entries' keys begin with .* give more digits"):
        entry_of(store, entries[0].key[:31])
    store.working_folder("fedcba").mkdir(parents=True)
    with pytest.raises(StoreError, match="the training is not finished"):
        entry_of(store, "fedcba")


def test_damaged_weights_are_refused(checkpoints, store):
    backbone = load_backbone(str(checkpoints("mbert")), CPU)
    entry = keep(store, backbone, recipe("ner"))
    path = entry.folder / entry.weights[2.0][0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="its checksum is not its own"):
        rebuilt(entry, Selected(2.0), backbone)


def test_a_folder_that_holds_something_is_refused_and_stays(checkpoints, store, tmp_path):
    trained = _trained(checkpoints, store, "mbert", "ner")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="the folder is not empty"):
        write(trained, tmp_path / "out", [])
    assert names(tmp_path / "out") == {"mine"}


def test_what_reads_back_otherwise_is_not_written(checkpoints, store, tmp_path, monkeypatch):
    from xglue_harness.export import checkpoint

    reading = checkpoint.load_exported

    def with_another_bias(*arguments):
        model = reading(*arguments)
        with torch.no_grad():
            model.model.classifier.bias += 1
        return model

    monkeypatch.setattr(checkpoint, "load_exported", with_another_bias)
    before = names(tmp_path)
    with pytest.raises(EncoderError, match="another model when it is read back"):
        write(_trained(checkpoints, store, "mbert", "ner"), tmp_path / "out", [])
    assert names(tmp_path) - {"store"} == before - {"store"}


@pytest.mark.parametrize("family", ["mbert", "nllb"])
def test_an_export_that_was_changed_is_not_read(checkpoints, store, tmp_path, family):
    folder = tmp_path / "out"
    write(_trained(checkpoints, store, family, "ner"), folder, [])
    text = (folder / NAME).read_text(encoding="utf-8")
    (folder / NAME).write_text(text.replace('"tokens_sha256": "', '"tokens_sha256": "0')[:-1], encoding="utf-8")
    with pytest.raises(EncoderError, match="tokens_sha256: String should match"):
        load(folder)
    (folder / NAME).write_text(re.sub('("tokens_sha256": ")....', r"\g<1>0000", text), encoding="utf-8")
    with pytest.raises(EncoderError, match="its tokenizer reads text otherwise than when it was exported"):
        load(folder)
    (folder / NAME).write_text(text, encoding="utf-8")
    load(folder)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(EncoderError, match="safetensors"):
        load(folder)
    with pytest.raises(EncoderError, match="expected a folder that `xglue-harness store export` wrote"):
        load(Path(tmp_path / "nowhere"))
