"""Checkpoints of fairseq, converted: the same states, the same subwords, and nothing of a pickle is run."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import sentencepiece
import torch
from transformers import AutoModel, AutoTokenizer

from tests.helpers import fairseq
from tests.helpers.families import texts
from xglue_harness.conversion.fairseq import VERSION, convert
from xglue_harness.conversion.fairseq_file import FairseqModel, read_dictionary, read_model
from xglue_harness.conversion.fairseq_stacks import convert_stacks, sinusoids
from xglue_harness.encoders.fingerprint import identify
from xglue_harness.encoders.loading import load_backbone
from xglue_harness.errors import EncoderError
from xglue_harness.records.converted import converted_from
from xglue_harness.transfer.record import backbone_record

SENTENCES = [text for language in ("en", "fr", "es", "ru") for text in texts()[language]]
MODELS = {"bart-lm": "bart", "bart-mt": "mbart", "mlm": "marian", "clm": "xglm"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Checkpoints and their conversions, by kind."""
    folder = tmp_path_factory.mktemp("fairseq")
    pairs = {}
    for kind in fairseq.KINDS:
        one = fairseq.make(folder / kind, kind, SENTENCES)
        pairs[kind] = one, folder / f"{kind}-hf", convert(*one.files, folder / f"{kind}-hf")
    return pairs


def _expected_ids(made, text, language="en"):
    """What fairseq reads: pieces by the dictionary, unknown ones as such."""
    symbols = {symbol: number for number, symbol in enumerate(read_dictionary(made.dictionary))}
    pieces = sentencepiece.SentencePieceProcessor(str(made.sentencepiece)).encode(text, out_type=str)
    start = {"bart-lm": [0], "mlm": [0], "clm": [2]}.get(made.kind)
    start = start or [len(symbols) + fairseq.LANGUAGES.index(language)]
    return [*start, *(symbols.get(piece, 3) for piece in pieces), 2]


@pytest.mark.parametrize("kind", fairseq.KINDS)
def test_states_are_those_of_the_papers_equations(made, kind):
    checkpoint, folder, conversion = made[kind]
    backbone = load_backbone(str(folder), torch.device("cpu"))
    encoder = backbone.encoder if kind == "clm" else backbone.encoder.double()  # XGLM knows no float64
    assert backbone.config.model_type == MODELS[kind] == conversion.architecture
    tokens = [backbone.tokenizer(text, truncation=True, max_length=30)["input_ids"] for text in SENTENCES[:6]]
    batch = backbone.tokenizer.pad({"input_ids": tokens}, return_tensors="pt")
    with torch.no_grad():
        found = encoder(**batch, output_hidden_states=True).hidden_states
    rows = _rows(checkpoint, backbone)
    assert len(found) == fairseq.LAYERS + 1
    for number, ids in enumerate(tokens):
        for layer, expected in enumerate(fairseq.states(checkpoint, [rows[one] for one in ids])):
            difference = found[layer][number, : len(ids)].double() - expected
            assert difference.abs().max() <= 1e-6 * expected.abs().max(), layer


def _rows(made, backbone):
    """The row of the fairseq model that each id of the converted one has, found by its numbers."""
    name = next(name for name in made.weights if name.endswith("embed_tokens.weight"))
    table = made.weights[name]
    places = {tuple(row.tolist()): number for number, row in enumerate(table)}
    return [places[tuple(row.tolist())] for row in backbone.encoder.get_input_embeddings().weight.float()]


@pytest.mark.parametrize("kind", fairseq.KINDS)
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_subwords_are_fairseqs(tmp_path, kind, algorithm):
    checkpoint = fairseq.make(tmp_path / "fairseq", kind, SENTENCES, algorithm)
    conversion = convert(*checkpoint.files, tmp_path / "out")
    backbone = load_backbone(str(tmp_path / "out"), torch.device("cpu"))
    rows = _rows(checkpoint, backbone)
    assert conversion.unknown_pieces == 2
    told = {"en": "en", "fr": "fr", "ru": "ru", "de": "en"} if kind == "bart-mt" else {"en": "en"}
    for read_as, expected_as in told.items():
        if kind == "bart-mt":
            backbone.tokenizer.src_lang = read_as
        for text in [*SENTENCES, "  Two  blanks, and\u00a0a word: \u6c49\u5b57 ", "na\u0308ive \ufb01ne"]:
            found = [rows[one] for one in backbone.tokenizer(text)["input_ids"]]
            assert found == _expected_ids(checkpoint, text, expected_as), text


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
@pytest.mark.parametrize(
    "settings",
    [{"add_dummy_prefix": False}, {"remove_extra_whitespaces": False}, {"normalization_rule_name": "identity"}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_sentencepiece_model_keeps_its_settings(tmp_path, settings, algorithm):
    checkpoint = fairseq.make(tmp_path / "fairseq", "mlm", SENTENCES, algorithm, settings)
    convert(*checkpoint.files, tmp_path / "out")
    backbone = load_backbone(str(tmp_path / "out"), torch.device("cpu"))
    rows = _rows(checkpoint, backbone)
    for text in [*SENTENCES[:9], "  Two  blanks ", "\u2581 na\u0308ive \ufb01ne"]:
        found = [rows[one] for one in backbone.tokenizer(text)["input_ids"]]
        assert found == _expected_ids(checkpoint, text), text


def test_the_language_of_a_text_is_told_to_a_translation_model(made):
    _, folder, conversion = made["bart-mt"]
    assert conversion.languages == tuple(fairseq.LANGUAGES)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    first = {}
    for language in ("en", "ar", "zh"):
        tokenizer.src_lang = language
        first[language] = tokenizer("a")["input_ids"][0]
    assert len(set(first.values())) == 3


def test_a_language_model_reads_left_to_right(made):
    _, folder, _ = made["clm"]
    encoder = load_backbone(str(folder), torch.device("cpu")).encoder
    ids = torch.tensor([[2, 10, 11, 12, 13, 2]])
    other = torch.tensor([[2, 10, 11, 30, 31, 2]])
    with torch.no_grad():
        one, two = encoder(ids).last_hidden_state, encoder(other).last_hidden_state
    assert torch.equal(one[:, :3], two[:, :3])
    assert not torch.allclose(one[:, 3:], two[:, 3:])


def test_what_was_made_from_what_is_kept(made):
    _, folder, conversion = made["mlm"]
    kept = json.loads((folder / "conversion.json").read_text())
    assert kept["converted_from"] == conversion.converted_from.model_dump()
    assert kept["converted_from"] == json.loads((folder / "config.json").read_text())["xglue_converted_from"]
    assert kept["task"] == "masked_lm"
    assert kept["layers"] == fairseq.LAYERS
    assert kept["parameters"] == conversion.parameters
    assert "encoder.sentence_encoder.segment_embeddings.weight" in kept["left_out"]
    assert not any("layers" in name for name in kept["left_out"])


@pytest.mark.parametrize("kind", fairseq.KINDS)
def test_the_same_files_become_the_same_bytes(made, tmp_path, kind):
    """Under other names and in another place, too: nothing of these is kept."""
    checkpoint, folder, conversion = made[kind]
    named = [tmp_path / name for name in ("model.pt", "symbols", "pieces")]
    for path, copy in zip(checkpoint.files, named, strict=True):
        shutil.copyfile(path, copy)
    assert convert(*named, tmp_path / "again") == conversion
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == written


@pytest.mark.parametrize("kind", fairseq.KINDS)
def test_a_converted_checkpoint_says_what_it_was_made_from(made, kind):
    checkpoint, folder, conversion = made[kind]
    backbone = load_backbone(str(folder), torch.device("cpu"))
    noted = converted_from(backbone.config)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in checkpoint.files]
    assert [noted.checkpoint_sha256, noted.dictionary_sha256, noted.sentencepiece_sha256] == hashes
    assert (noted.converter, noted.version) == ("fairseq", VERSION)
    identity = identify(backbone)
    assert noted == conversion.converted_from
    assert noted.encoder_sha256 == identity.weights
    assert backbone_record(backbone, identity).converted_from == noted
    del backbone.encoder.config.xglue_converted_from
    assert identify(backbone).config == identity.config  # it changes nothing that is computed


def test_what_changed_since_shows_by_its_weights(made, tmp_path):
    """Trained on and saved by transformers, which keeps the note."""
    _, folder, conversion = made["mlm"]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    model = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        model.encoder.layers[0].fc1.bias[0] += 1
    model.save_pretrained(tmp_path)
    backbone = load_backbone(str(tmp_path), torch.device("cpu"))
    noted = converted_from(backbone.config)
    assert noted == conversion.converted_from
    assert noted.encoder_sha256 != identify(backbone).weights


def test_a_note_that_no_converter_wrote_is_refused(made, tmp_path):
    shutil.copytree(made["mlm"][1], tmp_path / "edited")
    file = tmp_path / "edited" / "config.json"
    value = json.loads(file.read_text())
    value["xglue_converted_from"].pop("dictionary_sha256")
    file.write_text(json.dumps(value))
    backbone = load_backbone(str(tmp_path / "edited"), torch.device("cpu"))
    with pytest.raises(EncoderError, match=r"xglue_converted_from: dictionary_sha256: Field required: convert the"):
        converted_from(backbone.config)


GOLDEN = {
    1: {
        "bart-lm": "2edbd7107337c7a1",
        "bart-mt": "94e8049bb58a1596",
        "mlm": "e26d64c258097488",
        "clm": "3cc58bfeeddebb33",
    },
}
"""Start of the SHA-256 of converted weights, by version of the converter and kind."""


@pytest.mark.parametrize("kind", fairseq.KINDS)
def test_one_version_of_the_converter_makes_one_set_of_weights(kind):
    """Where this fails, raise VERSION and add a line: results of older conversions are of other weights."""
    rows = 50
    numbers = {
        name: (torch.arange(tensor.numel()) % 97 - 48).view(tensor.shape) / 64
        for name, tensor in fairseq.WEIGHTS[kind](rows).items()
    }
    numbers = {name: tensor for name, tensor in numbers.items() if not name.endswith("version")}
    converted = convert_stacks(FairseqModel(fairseq.OPTIONS[kind], numbers)).weights
    digest = hashlib.sha256()
    for name in sorted(converted):
        digest.update(name.encode() + converted[name].contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[VERSION][kind]


def test_sinusoids_are_rounded_from_fp64():
    """To the nearest fp32, so that every processor makes the same; by mathematics of Python's own."""
    table = sinusoids(300, 10)
    scale = np.float32(-(math.log(10000) / 4))
    for place in (0, 1, 17, 299):
        for number in range(5):
            rate = np.float32(math.exp(np.float32(number) * scale))
            angle = float(np.float32(place + 2) * rate)
            assert table[place, number].item() == float(np.float32(math.sin(angle)))
            assert table[place, 5 + number].item() == float(np.float32(math.cos(angle)))


def test_options_of_newer_fairseq_and_half_precision(tmp_path):
    checkpoint = fairseq.make(tmp_path / "old", "clm", SENTENCES)
    state = torch.load(checkpoint.model, weights_only=False)
    task = {"_name": "language_modeling", "task": "language_modeling"}
    state["cfg"] = {"model": state["args"], "task": task, "common": {"fp16": True}}
    state["args"] = None
    state["extra_state"] = {"val_loss": np.float64(2.5)}
    state["model"] = {name: tensor.half() for name, tensor in state["model"].items()}
    torch.save(state, checkpoint.model)
    convert(*checkpoint.files, tmp_path / "out")
    model = AutoModel.from_pretrained(tmp_path / "out")
    assert model.dtype == torch.float32
    expected = state["model"]["decoder.layers.0.fc1.weight"].float()
    assert torch.equal(model.layers[0].fc1.weight, expected)


class _Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile-ran",)


@pytest.mark.parametrize("where", ["beside", "in args", "legacy"])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    checkpoint = fairseq.make(tmp_path / "fairseq", "mlm", SENTENCES[:40])
    state = torch.load(checkpoint.model, weights_only=False)
    if where == "in args":
        state["args"].seed = _Hostile()
    else:
        state["extra_state"] = _Hostile()
    torch.save(state, checkpoint.model, _use_new_zipfile_serialization=where != "legacy")
    with pytest.raises(EncoderError, match=r"checkpoint_best.pt: wants to build posix\.system .*any code"):
        convert(*checkpoint.files, tmp_path / "out")
    assert not (tmp_path / "hostile-ran").exists()
    assert not (tmp_path / "out").exists()


def test_a_namespace_may_not_bring_code_of_its_own(tmp_path):
    """What is allowed is the class, not what a pickle says that it is."""
    path = tmp_path / "checkpoint_best.pt"
    with zipfile.ZipFile(path, "w") as archive:
        code = b"\x80\x02cbuiltins\neval\nX\x12\x00\x00\x00open('made', 'w')  \x85R."
        archive.writestr("archive/data.pkl", code)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    with pytest.raises(EncoderError, match=r"wants to build (builtins\.)?eval "):
        read_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("model"), "has no 'model'"),
        (lambda state: state.pop("args"), "neither 'args' nor 'cfg'"),
        (lambda state: state["model"].update({"encoder.extra.weight": torch.zeros(1)}), "encoder.extra.weight"),
        (lambda state: state["model"].pop("encoder.sentence_encoder.layers.1.fc1.bias"), "needs encoder.layers.1.fc1"),
        (lambda state: setattr(state["args"], "scale_fc", True), "option scale_fc"),
        (lambda state: setattr(state["args"], "encoder_attention_heads", None), "option encoder_attention_heads"),
        (lambda state: setattr(state["args"], "task", "language_modeling"), "rows; the dictionary has"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, change, message):
    checkpoint = fairseq.make(tmp_path / "fairseq", "mlm", SENTENCES[:40])
    state = torch.load(checkpoint.model, weights_only=False)
    change(state)
    torch.save(state, checkpoint.model)
    with pytest.raises(EncoderError, match=message):
        convert(*checkpoint.files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [("a 1\nb\n", "line 2"), ("a 1\na 2\n", "line 2.*second time"), ("<pad> 1\n", "line 1.*second time")],
)
def test_a_bad_line_of_a_dictionary_is_named(tmp_path, text, message):
    (tmp_path / "dict.txt").write_text(text)
    with pytest.raises(EncoderError, match=message):
        read_dictionary(tmp_path / "dict.txt")


def test_files_that_are_damaged_or_not_there(tmp_path):
    checkpoint = fairseq.make(tmp_path / "fairseq", "mlm", SENTENCES[:40])
    with pytest.raises(EncoderError, match="No such file"):
        convert(tmp_path / "none.pt", checkpoint.dictionary, checkpoint.sentencepiece, tmp_path / "out")
    with pytest.raises(EncoderError, match="no sentencepiece model"):
        convert(checkpoint.model, checkpoint.dictionary, checkpoint.dictionary, tmp_path / "out")
    data = checkpoint.model.read_bytes()
    checkpoint.model.write_bytes(data[: len(data) // 2])
    with pytest.raises(EncoderError, match="fetch it again"):
        convert(*checkpoint.files, tmp_path / "out")
    (tmp_path / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(EncoderError, match="pointer of Git LFS"):
        read_model(tmp_path / "pointer.pt")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(made, tmp_path):
    checkpoint, _, _ = made["mlm"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(EncoderError, match="is there already"):
        convert(*checkpoint.files, tmp_path / "out")


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["clm", "bart-mt"])
def test_a_converted_model_is_fine_tuned_and_scored(made, tmp_path, kind):
    options = {"data": "sample", "epochs": 1, "train_limit": 16, "dev": "none", "max_length": 32}
    command = [sys.executable, "-m", "lm_eval", "--model", "hf-encoder", "--tasks", "xglue_xnli_zs_en,xglue_xnli_zs_de"]
    arguments = ["--model_args", f"pretrained={made[kind][1]}", "--metadata", json.dumps(options)]
    environment = {**os.environ, "XGLUE_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "xglue_xnli_zs_de" in done.stdout
