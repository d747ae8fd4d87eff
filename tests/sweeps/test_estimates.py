"""How long jobs take and how much they read: each way to an estimate, against numbers that are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.helpers.sweeps import write_results
from xglue_harness.benchmark import TASKS
from xglue_harness.data.folder import SAMPLE
from xglue_harness.data.official import read
from xglue_harness.errors import SweepError
from xglue_harness.resources import published_tree
from xglue_harness.sweeps import estimates
from xglue_harness.sweeps.amounts import amount_of
from xglue_harness.sweeps.cards import CARDS, card_of
from xglue_harness.sweeps.estimates import Known, counted, duration, is_of_shape, most_epochs_kept, parse_rates
from xglue_harness.sweeps.finished import in_results
from xglue_harness.sweeps.jobs import Job, Needs
from xglue_harness.sweeps.shapes import Shape, backbones_in, from_config, shape_of

TOY = {"data": "sample", "epochs": 30, "learning_rate": 1e-3}
H100 = "NVIDIA H100 80GB HBM3"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished training of the example tree, as if of a GPU."""
    folder = tmp_path_factory.mktemp("results")
    write_results(folder, "tiny-lm", "ner", 1)
    item = in_results(folder)
    assert item is not None
    return replace(item, device=H100)


def _job(done=None, **options):
    """The job of a finished training, from another seed; or one of XLM-R base on the official data."""
    if done is None:
        arguments, metadata = (
            {"pretrained": "FacebookAI/xlm-roberta-base", "revision": "main"},
            {"data": "hub", **options},
        )
        return Job("xlmr", "xnli", TASKS["xnli"].languages, 1, "hf-encoder", arguments, metadata)
    names = ("epochs", "learning_rate", "batch_size", "max_length", "dropout", "dev", "weight_decay", "warmup_ratio")
    metadata = {"data": "sample", **{name: done.recipe[name] for name in names}, **options}
    return Job("lm", "ner", TASKS["ner"].languages, 2, "hf-encoder", {"pretrained": done.encoder}, metadata)


def _amount(job):
    return amount_of(job.task, job.languages, job.metadata)


# ---------------------------------------------------------------- cards and shapes


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (H100, "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-32GB", "V100"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", None),
        ("cpu", None),
    ],
)
def test_a_device_is_found_by_its_name(device, name):
    card = card_of(device)
    assert (card and card.name) == name


def test_a_card_without_bf16_trains_in_fp32_unless_told_otherwise():
    v100 = next(card for card in CARDS if card.name == "V100")
    assert v100.peak("auto") == (15.7e12, "fp32")
    assert v100.peak("fp16") == (125e12, "fp16")
    for precision in ("bf16", "tf32"):
        with pytest.raises(SweepError, match=f"V100 has no {precision}"):
            v100.peak(precision)
    assert CARDS[0].peak("auto")[1] == "bf16"


CONFIGS = {
    "mbert": {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072, "vocab_size": 119547},
    "mbart-large-50": {
        "num_hidden_layers": 12,
        "encoder_layers": 12,
        "d_model": 1024,
        "encoder_ffn_dim": 4096,
        "decoder_ffn_dim": 4096,
        "vocab_size": 250054,
    },
    "nllb-600m": {"encoder_layers": 12, "d_model": 1024, "encoder_ffn_dim": 4096, "vocab_size": 256206},
}


@pytest.mark.parametrize("name", [*CONFIGS])
def test_a_configuration_gives_the_described_parameters(name):
    described = next(item for item in backbones_in(published_tree()) if item.name == name).parameters
    shape = from_config(CONFIGS[name])
    assert shape.body == pytest.approx(described.encoder - described.embedding, rel=0.01)
    assert shape.embedding == pytest.approx(described.embedding, rel=0.01)


def test_a_shape_comes_from_the_folder_or_the_description_and_no_weights(tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 100}')
    assert shape_of(str(tmp_path), None) == Shape(2 * 12 * 64, 800, 8, "config.json")
    assert shape_of("FacebookAI/xlm-roberta-base", None).embedding == 192001536
    assert shape_of("nobody/nothing", None) is None
    (tmp_path / "config.json").write_text("{")
    assert shape_of(str(tmp_path), None) is None


# ---------------------------------------------------------------- amounts


@pytest.mark.parametrize("task", [*TASKS])
def test_rows_of_data_at_hand_are_those_that_are_read(task):
    spec = TASKS[task]

    def rows(split, language):
        path = SAMPLE / spec.path(split, language)
        return len(read(path.read_bytes(), spec, split, path.name))

    amount = amount_of(task, spec.languages, {"data": "sample"})
    assert amount.train_rows == rows("train", "en")
    assert amount.test_rows == sum(rows("test", language) for language in spec.languages)
    assert amount.source == "data"


def test_official_rows_are_those_of_the_manifest_and_options_limit_them():
    whole = amount_of("xnli", TASKS["xnli"].languages, {"data": "hub"})
    assert (whole.train_rows, whole.test_rows, whole.source) == (392702, 15 * 5010, "XGLUE")
    limited = amount_of("xnli", ("de",), {"data": "hub", "train_limit": 1000, "dev": "en", "max_length": 16})
    assert (limited.train_rows, limited.train, limited.test_rows) == (1000, 16000, 5010)
    assert limited.dev == 2490 * 16
    assert amount_of("xnli", ("de",), {"data": "hub", "dev": "none"}).dev == 0


def test_subwords_that_a_training_counted_take_the_place_of_guesses(done):
    job = _job(done)
    amount = counted(_amount(job), job, [done])
    assert amount.train == done.training.real_tokens / done.recipe["epochs"]
    assert amount.source == "records"
    assert amount.test / amount.train == pytest.approx(_amount(job).test / _amount(job).train)
    assert counted(_amount(job), _job(), [done]) == _amount(job)  # another task's


# ---------------------------------------------------------------- durations


def test_a_finished_job_of_the_same_shape_says_how_long_it_takes(done):
    job = _job(done)
    assert is_of_shape(done, job, _amount(job))
    time = duration(job, _amount(job), None, Known([done], H100, {}, overhead=7))
    assert (time.how, time.seconds) == ("finished", done.seconds + 7)
    wall = duration(job, _amount(job), None, Known([done], H100, {}), [30.0, 50.0, 40.0])
    assert (wall.how, wall.seconds) == ("finished", 40.0)


@pytest.mark.parametrize("other", [{"epochs": 7}, {"learning_rate": 0.5}, {"train_limit": 10}, {"dev": "en"}])
def test_another_recipe_is_another_shape(done, other):
    job = _job(done, **other)
    assert not is_of_shape(done, job, _amount(job))
    assert duration(job, _amount(job), None, Known([done], H100, {})).how == "rate"


def test_a_rate_is_scaled_by_subwords(done):
    job, known = _job(done, epochs=2 * done.recipe["epochs"]), Known([done], H100, {}, overhead=0)
    amount = replace(_amount(job), dev=0, test=0)
    time = duration(job, amount, None, known)
    assert time.seconds == pytest.approx(amount.train * 2 * done.recipe["epochs"] / done.rate)
    assert time.predicting == 0


def test_the_rate_of_another_encoder_is_scaled_by_parameters(done, tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 100}')
    other = replace(done, encoder=str(tmp_path))
    job = _job()
    amount = replace(_amount(job), dev=0, test=0)
    shape = Shape(10 * 2 * 12 * 64, 800, 8, "")
    time = duration(job, amount, shape, Known([other], H100, {}, overhead=0))
    assert time.how == "rate"
    assert time.seconds == pytest.approx(10 * amount.train * 10 / done.rate)


def test_a_toy_says_nothing_of_a_large_encoder(done, tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 100}')
    known = Known([replace(done, encoder=str(tmp_path))], H100, {}, overhead=0)
    shape = Shape(17 * 2 * 12 * 64, 800, 8, "")
    assert duration(_job(), _amount(_job()), shape, known).how != "rate"


def test_the_encoder_that_is_nearest_in_size_counts(done, tmp_path):
    others = []
    for name, layers in (("small", 1), ("near", 9), ("large", 30)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'{{"num_hidden_layers": {layers}, "hidden_size": 8}}')
        others.append(replace(done, encoder=str(tmp_path / name)))
    time = duration(_job(), _amount(_job()), Shape(10 * 12 * 64, 0, 8, ""), Known(others, H100, {}))
    assert "near's ner" in time.why


def test_records_of_another_device_do_not_count(done):
    job = _job(done)
    assert duration(job, _amount(job), None, Known([done], "NVIDIA A100", {})).how == "unknown"
    assert duration(job, _amount(job), None, Known([done], None, {})).how == "unknown"


def test_a_given_rate_counts_before_measured_ones_of_other_shapes(done):
    job = _job(done, epochs=1)
    time = duration(job, replace(_amount(job), dev=0, test=0), None, Known([done], H100, {"lm": 10.0}, overhead=0))
    assert (time.how, time.seconds) == ("given", pytest.approx(_amount(job).train / 10))


def test_the_minutes_of_the_file_count_before_measured_rates(done):
    job = replace(_job(done, epochs=1), needs=Needs(minutes=3))
    assert duration(job, _amount(job), None, Known([done], H100, {})).seconds == 180
    rated = duration(job, _amount(job), None, Known([done], H100, {"": 1.0}))
    assert "subwords/s" in rated.why  # what was said on the command line comes before the file
    same = replace(_job(done), needs=Needs(minutes=3))
    assert duration(same, _amount(same), None, Known([done], H100, {})).how == "finished"


def test_arithmetic_is_parameters_times_subwords_times_6_over_a_share_of_the_peak():
    job, shape = _job(dev="none", batch_size=65536), Shape(85_000_000, 192_000_000, 768, "")
    amount = _amount(job)
    time = duration(job, amount, shape, Known([], H100, {}, share=0.25, overhead=0))
    operations = shape.body * (6 * amount.train * 10 + 2 * amount.test * 2)  # the last epoch and the mean
    assert (time.how, time.seconds) == ("arithmetic", pytest.approx(operations / (0.25 * 989.5e12)))
    assert time.predicting == pytest.approx(2 * shape.body * amount.test * 2 / (0.25 * 989.5e12))
    assert "25% of 990 TFLOPS (bf16)" in time.why


def test_a_step_takes_its_time_however_short_its_texts():
    job, shape = _job(dev="none"), Shape(1000, 0, 8, "")
    time = duration(job, replace(_amount(job), test=0), shape, Known([], H100, {}, overhead=0))
    assert time.seconds == pytest.approx(math.ceil(392702 / 32) * 10 * estimates.LEAST_STEP)


def test_what_cannot_be_estimated_says_what_is_missing():
    job = _job()
    assert "prefetch" in duration(job, _amount(job), None, Known([], H100, {})).why
    assert "--device" in duration(job, _amount(job), Shape(1, 1, 1, ""), Known([], None, {})).why


def test_without_a_device_it_is_the_one_that_everything_ran_on(done):
    assert estimates.the_device([done, done], None) == H100
    assert estimates.the_device([], None) is None
    with pytest.raises(SweepError, match="--device"):
        estimates.the_device([done, replace(done, device="cpu: x")], None)
    assert estimates.the_device([done, replace(done, device="cpu: x")], "cpu") == "cpu"


def test_rates_are_read_from_the_command_line():
    assert parse_rates(["900", "a=1.5"], ["a", "b"]) == {"": 900.0, "a": 1.5}
    for wrong in ("c=9", "a=x", "0", "a=inf"):
        with pytest.raises(SweepError, match=f"--rate {wrong}"):
            parse_rates([wrong], ["a", "b"])


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"dev": "none"}, 2),
        ({"dev": "en"}, 3),
        ({}, 11),
        ({"epochs": 100}, 18),
        ({"epochs": 0.5}, 1),
        ({"epochs": 3.5, "dev": "none", "keep_epochs": "all"}, 5),
    ],
)
def test_epochs_are_kept_for_every_rule_and_language(options, most):
    assert most_epochs_kept(_job(**options)) == most
