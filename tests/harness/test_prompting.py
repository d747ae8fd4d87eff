"""Language models by prompting: through lm-eval's own requests, with its own flags, on all eight tasks."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model

from tests.helpers import families
from tests.helpers.language_models import ScriptedLM
from tests.helpers.loggers import sample_table
from xglue_harness import metrics
from xglue_harness.benchmark import TASKS, Kind
from xglue_harness.data import open_source
from xglue_harness.errors import EncoderError, PromptError
from xglue_harness.harness.leaf_task import new_request
from xglue_harness.records import predictions
from xglue_harness.records.prediction_cache import saved_predictions
from xglue_harness.records.prompt_schema import PromptRecord

LEAVES = ["xglue_nc_zs_fr", "xglue_xnli_zs_sw", "xglue_wpr_zs_zh", "xglue_ner_zs_nl", "xglue_pos_zs_th"]
TAGGING = {"ner", "pos"}


@pytest.fixture(scope="session")
def prompt():
    """``prompt(model, tasks, metadata, **arguments of simple_evaluate)``."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from xglue_harness.resources import tasks_folder

    def run(model, tasks=None, metadata=None, *, encoder=None, **arguments):
        chosen = {"data": "sample", **(metadata or {})}
        manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=chosen)
        arguments = {"log_samples": False, "limit": 6, **arguments}
        if encoder is not None:
            arguments = {"model_args": {"pretrained": str(encoder)}, "device": "cpu", "batch_size": 8, **arguments}
        return simple_evaluate(model=model, tasks=tasks or LEAVES, task_manager=manager, **arguments)

    return run


def _record(results, leaf):
    return results["configs"][leaf]["metadata"]["xglue"]


def _predictions(results, leaf):
    return predictions.read(saved_predictions(_record(results, leaf)["predictions"]["sha256"]))


# ---------------------------------------------------------------- answers that are known


def test_right_answers_score_1_on_all_tasks(prompt):
    results = prompt(ScriptedLM("right"), ["xglue_zs"], limit=3)
    assert len(results["results"]) == 59 + 9
    for name, found in results["results"].items():
        assert found["alias"].endswith(" [prompt]")
        values = {key.partition(",")[0]: value for key, value in found.items() if key.endswith(",none")}
        values = {key: value for key, value in values.items() if not key.endswith("_stderr")}
        misses = {key: values.pop(key) for key in ("unparsable", "untagged") if key in values}
        assert set(values.values()) == {1.0}, name
        assert set(misses.values()) <= {0.0}, name
        if "ner" in name or "pos" in name:
            assert len(misses) == 2


def test_wrong_answers_score_0_and_rankings_the_least_that_the_grades_allow(prompt):
    results = prompt(ScriptedLM("wrong"))["results"]
    for leaf in LEAVES:
        spec = TASKS[leaf.split("_")[1]]
        names = {spec.metric, "score", "official"}
        if spec.kind is not Kind.RANKING:
            assert {results[leaf][f"{name},none"] for name in names} == {0.0}
            continue
        queries = open_source("sample").load(spec, "test", "zh").dataset
        grades = [queries[spec.label_column][i : i + 5] for i in range(0, 30, 5)]
        worst = np.mean([metrics.ndcg(own, [-grade for grade in own]) for own in grades])
        for name in (*names, "ndcg_expected"):
            assert results[leaf][f"{name},none"] == pytest.approx(worst, abs=1e-12)
    assert {results["xglue_nc_zs_fr"][f"{name},none"] for name in ("acc_norm", "acc_pmi")} == {0.0}
    assert results["xglue_pos_zs_th"]["unparsable,none"] == 0


def test_malformed_answers_are_counted_and_every_word_gets_the_fallback(prompt):
    results = prompt(ScriptedLM("malformed"), ["xglue_ner_zs_nl", "xglue_pos_zs_th"])
    for leaf, fallback in (("xglue_ner_zs_nl", "O"), ("xglue_pos_zs_th", "X")):
        found = results["results"][leaf]
        assert found["unparsable,none"] == found["untagged,none"] == 1
        assert found["score,none"] == 0
        spec, kept = TASKS[leaf.split("_")[1]], _predictions(results, leaf)
        assert {tag for tags in kept.predictions for tag in tags} == {spec.labels.index(fallback)}
        assert [len(tags) for tags in kept.predictions] == [len(tags) for tags in kept.labels]
        assert results["results"][leaf]["alias"].endswith("[COLLAPSED] [prompt]")


class _HalfParsable(ScriptedLM):
    def _generation(self, request):
        lines = super()._generation(request).split("\n")
        return "\n".join(lines if request.doc["document"] % 2 else lines[:-1])


def test_an_answer_that_lacks_one_word_is_unparsable_and_loses_that_word_only(prompt):
    results = prompt(_HalfParsable("right"), ["xglue_pos_zs_en"])
    found, kept = results["results"]["xglue_pos_zs_en"], _predictions(results, "xglue_pos_zs_en")
    words = sum(map(len, kept.labels))
    assert found["unparsable,none"] == 0.5
    assert found["untagged,none"] == pytest.approx(3 / words)
    right = sum(
        g == p for gold, own in zip(kept.labels, kept.predictions, strict=True) for g, p in zip(gold, own, strict=True)
    )
    assert found["acc,none"] == pytest.approx(right / words)
    assert words - 3 <= right < words


class _Likelihoods(ScriptedLM):
    """Likelihoods of three classes that plain, by length and calibrated lead to three classes."""

    def _likelihood(self, request):
        row, choice = divmod(request.idx, 3)
        # yes, maybe, no: by length -2, -1.2, -3.5; without content the last is much less likely
        return [-6.0, -6.0, -7.0][choice] if not row else [-6.0, -6.5, -30.0][choice]


def test_three_ways_to_choose_a_class(prompt):
    results = prompt(_Likelihoods("right"), ["xglue_xnli_zs_en"], limit=60)
    kept = _predictions(results, "xglue_xnli_zs_en")
    assert set(kept.predictions) == {0}
    assert kept.header.scores == "log_likelihood"
    assert kept.scores[0] == [-6.0, -6.0, -7.0]
    shares = [kept.labels.count(label) / 60 for label in range(3)]
    found = results["results"]["xglue_xnli_zs_en"]
    assert [found[f"{name},none"] for name in ("acc", "acc_norm", "acc_pmi")] == pytest.approx(shares)
    assert found["acc_norm_stderr,none"] == pytest.approx(metrics.mean_stderr([x == 1 for x in kept.labels]))


class _NaN(ScriptedLM):
    def _likelihood(self, request):
        return float("nan")


def test_a_likelihood_that_is_nan_stops_the_run(prompt):
    with pytest.raises(PromptError, match="a log-likelihood of the language model is NaN"):
        prompt(_NaN("right"), ["xglue_xnli_zs_en"])


# ---------------------------------------------------------------- lm-eval's models and flags


def test_the_dummy_model_runs_all_kinds_of_tasks(prompt):
    results = prompt(get_model("dummy")())
    for leaf in LEAVES:
        assert 0 <= results["results"][leaf]["score,none"] <= 1
    assert results["results"]["xglue_pos_zs_th"]["unparsable,none"] == 1


@pytest.fixture(scope="module")
def of_decoder(prompt, decoder):
    return prompt("hf", [f"{spec.group}_en" for spec in TASKS.values()], encoder=decoder, limit=4, log_samples=True)


def test_a_random_decoder_is_prompted_on_all_eight_tasks(of_decoder, decoder):
    for spec in TASKS.values():
        leaf = spec.leaf("en")
        record = PromptRecord.model_validate(_record(of_decoder, leaf))
        assert record.model_dump(mode="json", by_alias=True) == _record(of_decoder, leaf)
        assert record.model.name == str(decoder)
        assert len(record.model.weights_sha256) == 64
        assert record.prompt.num_fewshot == 0
        assert record.data.files.keys() == {spec.path("test", "en")}
        assert 0 <= of_decoder["results"][leaf]["score,none"] < 1
        assert all(sample_table(of_decoder, leaf)["data"].str.len() > 0)
        config = of_decoder["configs"][leaf]
        assert config["doc_to_text"] == record.prompt.question
        assert config["description"].strip() == record.prompt.description
    json.dumps(of_decoder["results"], allow_nan=False)


def test_likelihoods_are_those_that_lm_eval_computes_of_what_is_logged(of_decoder, decoder):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=str(decoder), device="cpu", batch_size=1)
    sample = of_decoder["samples"]["xglue_xnli_zs_en"][2]
    assert len(sample["arguments"]) == 3
    assert sample["doc"]["premise"] in sample["arguments"][0][0]
    metadata = ("xglue_xnli_zs_en", 2, 1)
    pairs = enumerate(map(tuple, sample["arguments"]))
    requests = [new_request(Instance, "loglikelihood", {}, pair, metadata, i) for i, pair in pairs]
    expected = [value for value, _ in lm.loglikelihood(requests)]
    assert [response[0][0] for response in sample["resps"]] == pytest.approx(expected, abs=1e-4)
    kept = _predictions(of_decoder, "xglue_xnli_zs_en")
    assert kept.scores[2] == pytest.approx(expected, abs=1e-4)
    assert kept.predictions[2] == int(np.argmax(expected))


def test_zero_shot_calibration_asks_once(of_decoder):
    lengths = [len(sample["arguments"]) for sample in of_decoder["samples"]["xglue_nc_zs_en"]]
    assert lengths == [20, 10, 10, 10]
    neutral = of_decoder["samples"]["xglue_nc_zs_en"][0]["arguments"][-1][0]
    assert "Title: N/A\nText: N/A" in neutral


def test_few_shot_examples_are_lm_evals_draws_from_english_train(prompt):
    lm = ScriptedLM("right")
    results = prompt(lm, ["xglue_xnli_zs_de"], num_fewshot=2, fewshot_random_seed=7, limit=3)
    train = open_source("sample").load(TASKS["xnli"], "train", "en").dataset
    rng = random.Random(7)
    contexts = list(dict.fromkeys(request.args[0] for request in lm.requests))
    assert len(contexts) == 6  # a prompt and one without content for each document
    words = ["yes", "maybe", "no"]
    for context, neutral in zip(contexts[::2], contexts[1::2], strict=True):
        shots = [train[i] for i in rng.sample(range(len(train)), 2)]
        parts = context.split("\n\n")
        for part, shot in zip(parts[1:3], shots, strict=True):
            assert shot["premise"] in part
            assert shot["hypothesis"] in part
            assert part.endswith(f" {words[shot['label']]}")
        assert neutral.split("\n\n")[:3] == parts[:3]
        assert neutral.count("N/A") == 2
    record = _record(results, "xglue_xnli_zs_de")
    assert (record["prompt"]["num_fewshot"], record["prompt"]["fewshot_seed"]) == (2, 7)
    assert set(record["data"]["files"]) == {"XNLI/multinli.train.en.tsv", "XNLI/de.test"}
    assert results["n-shot"]["xglue_xnli_zs_de"] == 2


def test_the_rows_of_a_query_see_the_same_examples(prompt):
    lm = ScriptedLM("right")
    prompt(lm, ["xglue_wpr_zs_de"], num_fewshot=2, limit=2)
    shown = [tuple(request.args[0].split("\n\n")[1:3]) for request in lm.requests]
    assert len(set(shown[:25])) == len(set(shown[25:])) == 1
    assert shown[0] != shown[25]


def test_few_shot_examples_of_a_tagging_task_are_strict_answers(prompt):
    lm = ScriptedLM("right")
    prompt(lm, ["xglue_pos_zs_de"], num_fewshot=1, limit=1)
    example = lm.requests[0].args[0].split("\n\n")[-2]
    assert "\nTags:\n" in example
    assert lm.requests[0].args[0].endswith("\nTags:\n")
    answer = example.partition("Tags:")[2].strip()
    assert all(line.split("\t")[1] in TASKS["pos"].labels for line in answer.split("\n"))


def test_more_examples_than_rows_are_refused(prompt):
    with pytest.raises(PromptError, match="XNLI: --num_fewshot 500: English train has only 240 rows"):
        prompt(ScriptedLM("right"), ["xglue_xnli_zs_de"], num_fewshot=500)


def test_chat_template_system_instruction_and_turns(prompt):
    lm = ScriptedLM("right")
    arguments = {"apply_chat_template": True, "fewshot_as_multiturn": True, "system_instruction": "Be brief."}
    results = prompt(lm, ["xglue_xnli_zs_de", "xglue_pos_zs_de"], num_fewshot=1, limit=1, **arguments)
    likelihood, generation = lm.requests[0], lm.requests[-1]
    context, continuation = likelihood.args
    assert context.startswith("<system>Be brief.")
    assert context.count("<user>") == 2
    assert context.endswith("<assistant>")
    assert continuation == "yes"
    assert generation.args[1]["until"] == []
    record = _record(results, "xglue_xnli_zs_de")["prompt"]
    assert (record["chat_template"], record["fewshot_as_multiturn"]) == (True, True)
    assert record["system_instruction"] == "Be brief."


def test_prompts_in_the_language_of_the_test_set(prompt):
    lm = ScriptedLM("right")
    results = prompt(lm, ["xglue_xnli_zs_de"], {"prompt_language": "target"}, limit=2)
    assert {request.args[1] for request in lm.requests} == {" ja", " vielleicht", " nein"}
    assert results["results"]["xglue_xnli_zs_de"]["score,none"] == 1
    assert _record(results, "xglue_xnli_zs_de")["prompt"]["language"] == "de"


def test_generation_is_greedy_long_enough_and_changed_by_gen_kwargs(prompt, decoder):
    from lm_eval.models.huggingface import HFLM

    lm, seen = ScriptedLM("right"), []
    prompt(lm, ["xglue_pos_zs_de"])
    for request in lm.requests:
        arguments = request.args[1]
        answer = lm._generation(request)
        assert arguments["max_gen_toks"] >= len(answer.encode())
        assert (arguments["until"], arguments["do_sample"]) == (["\n\n"], False)
    chosen = ScriptedLM("right")
    prompt(chosen, ["xglue_pos_zs_de"], gen_kwargs={"max_gen_toks": 7, "temperature": 0.5, "do_sample": True})
    assert chosen.requests[0].args[1] == {"until": ["\n\n"], "max_gen_toks": 7, "temperature": 0.5, "do_sample": True}
    model = HFLM(pretrained=str(decoder), device="cpu", batch_size=4)
    generate = model.generate_until
    model.generate_until = lambda requests, **options: seen.extend(requests) or generate(requests, **options)
    prompt(model, ["xglue_pos_zs_th"], limit=2)
    for request in seen:
        tokens = len(model.tok_encode(lm._generation(request)))
        assert tokens < request.args[1]["max_gen_toks"] <= 1024


def test_lm_evals_cache_of_responses_serves_prompts(prompt, tmp_path, monkeypatch):
    first, second = ScriptedLM("right"), ScriptedLM("wrong")
    cache = {"use_cache": str(tmp_path / "responses")}
    one = prompt(first, ["xglue_nc_zs_en", "xglue_pos_zs_en"], **cache)
    again = prompt(second, ["xglue_nc_zs_en", "xglue_pos_zs_en"], **cache)
    assert first.requests
    assert not second.requests
    assert one["results"] == again["results"]


def test_predictions_are_kept_without_scores(prompt):
    results = prompt(ScriptedLM("right"), ["xglue_wpr_zs_de"], predict_only=True, log_samples=True)
    assert "score,none" not in results["results"]["xglue_wpr_zs_de"]
    kept = _predictions(results, "xglue_wpr_zs_de")
    assert kept.predictions == kept.labels
    assert (len(kept.rows), kept.complete) == (30, False)


# ---------------------------------------------------------------- which protocol


def test_an_encoder_is_fine_tuned_and_can_t_be_prompted(prompt, tiny):
    with pytest.raises(PromptError, match=r"is an encoder \(bert\) and sees the words"):
        prompt("hf", ["xglue_nc_zs_en"], {"protocol": "prompt"}, encoder=tiny)
    with pytest.raises(PromptError, match="hf-encoder holds an encoder only: use --model hf"):
        prompt("hf-encoder", ["xglue_nc_zs_en"], {"protocol": "prompt"}, encoder=tiny)


def test_a_decoder_can_t_be_fine_tuned(prompt, decoder):
    with pytest.raises(EncoderError, match="is a decoder-only model"):
        prompt("hf", ["xglue_nc_zs_en"], {"protocol": "finetune"}, encoder=decoder)


def test_an_encoder_decoder_is_prompted_where_that_is_asked_for(prompt, tmp_path):
    families.t5(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "decoder_start_token_id": 0}))
    results = prompt("hf", ["xglue_nc_zs_en"], {"protocol": "prompt"}, encoder=tmp_path, limit=2)
    record = _record(results, "xglue_nc_zs_en")
    assert (record["protocol"], record["model"]["name"]) == ("prompt", str(tmp_path))


def test_a_model_that_keeps_its_name_to_itself_is_known_by_what_it_was_asked_for_by(prompt):
    class Remote(ScriptedLM):
        def __init__(self, pretrained, revision="main", **_):
            super().__init__("right")

    lm = Remote.create_from_arg_obj({"pretrained": "some/decoder", "revision": "v2"})
    record = _record(prompt(lm, ["xglue_nc_zs_en"], limit=1), "xglue_nc_zs_en")
    assert (record["model"]["name"], record["model"]["revision"]) == ("some/decoder", "v2")
    other = Remote.create_from_arg_string("pretrained=other/decoder")
    record = _record(prompt(other, ["xglue_nc_zs_en"], limit=1), "xglue_nc_zs_en")
    assert (record["model"]["name"], record["model"]["backend"]) == ("other/decoder", "Remote")


def test_options_without_effect_are_named(prompt, caplog):
    prompt(ScriptedLM("right"), ["xglue_nc_zs_en"], {"epochs": 3, "learning_rate": 1e-4}, limit=1)
    assert "protocol prompt: without effect on it: epochs, learning_rate" in caplog.text


def test_the_hook_meets_models_given_to_evaluate_itself():
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    from xglue_harness.resources import tasks_folder

    manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata={"data": "sample"})
    lm: LM = ScriptedLM("right")
    results = evaluate(lm, manager.load(["xglue_nc_zs_en"]), limit=2, log_samples=False)
    assert results["results"]["xglue_nc_zs_en"]["alias"] == "xglue_nc_zs_en [SAMPLE] [prompt]"
