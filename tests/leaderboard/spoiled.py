"""Ways to spoil a contribution, and what validation says of each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace

import yaml

from xglue_harness.records import predictions

RESULT = "results/tiny-lm/toy/1/pawsx.json"


def edited(tree, change, path=RESULT):
    """Change the JSON of a result."""
    file = tree / path
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def claimed(value, language, score, **others):
    """Change the score of a language wherever it stands."""
    item = value["languages"][language]
    item.update(score=score, **others)
    item["record"]["selection"]["scores"]["last"]["score"] = score
    item["record"].update({name: value for name, value in others.items() if name.startswith("official")})


def described(tree, backbone="tiny-lm", **changes):
    """Write the YAML of a backbone anew with changes (``__`` for a dot)."""
    file = tree / "backbones" / f"{backbone}.yaml"
    value = yaml.safe_load(file.read_text())
    for key, content in changes.items():
        *parents, last = key.split("__")
        place = value
        for parent in parents:
            place = place[parent]
        place[last] = content
    file.write_text(yaml.safe_dump(value, sort_keys=False))


def wrong_schema(tree):
    edited(tree, lambda value: value.update(version_of_mine=2))


def renamed_key(tree):
    edited(tree, lambda value: value["record"]["training"].pop("steps"))


def edited_score(tree):
    edited(tree, lambda value: claimed(value, "de", 0.99))


def edited_predictions(tree):
    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    original = predictions.read(path)
    path.write_bytes(predictions.encoded(replace(original, predictions=list(original.labels))))


def edited_predictions_with_their_hash(tree):
    edited_predictions(tree)
    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edited(tree, lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest))


def edited_labels(tree):
    """Gold labels that agree with the predictions, scores and hash to match: a perfect score of one's own making."""
    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    original = predictions.read(path)
    path.write_bytes(predictions.encoded(replace(original, labels=list(original.predictions))))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def change(value):
        claimed(value, "de", 1.0, stderr=0.0, official=1.0)
        value["languages"]["de"]["record"]["predictions"].update(sha256=digest)

    edited(tree, change)


def other_official_score(tree):
    """In the record alone, where nothing shows it."""
    edited(tree, lambda value: value["languages"]["de"]["record"].update(official=0.25))


def other_seqeval(tree):
    edited(tree, lambda value: value["languages"]["de"]["record"].update(official_seqeval1=0.5))


def other_rule_of_the_official_score(tree):
    edited(tree, lambda value: value["languages"]["de"]["record"].update(official_rule="ndcg"))


def wrong_fingerprint(tree):
    edited(tree, lambda value: value["languages"]["de"]["record"]["data"].update(fingerprint="0" * 64))


def duplicate_seed(tree):
    """Seed 1 once more, as seed 7."""
    folder = tree / "results/tiny-lm/toy"
    shutil.copytree(folder / "1", folder / "7")

    def change(value):
        value["seed"] = value["record"]["recipe"]["seed"] = 7

    for task in ("pawsx", "ner"):
        edited(tree, change, f"results/tiny-lm/toy/7/{task}.json")


def duplicate_backbone(tree):
    copy = yaml.safe_load((tree / "backbones/tiny-new.yaml").read_text())
    (tree / "backbones/copy.yaml").write_text(yaml.safe_dump({**copy, "name": "copy"}))


def missing_language(tree):
    edited(tree, lambda value: value["languages"].pop("fr"))


def limited(tree):
    """Predictions of half of the rows."""
    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    original = predictions.read(path)
    half = len(original.rows) // 2
    parts = {key: getattr(original, key)[:half] for key in ("documents", "rows", "labels", "predictions")}
    path.write_bytes(predictions.encoded(replace(original, **parts)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edited(tree, lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest))


def mixed_protocol(tree):
    edited(tree, lambda value: value["record"].update(protocol="prompt"))


def mixed_rule(tree):
    def change(value):
        for item in value["languages"].values():
            selection = item["record"]["selection"]
            selection["rule"] = "oracle"
            selection["scores"]["oracle"] = selection["scores"]["last"]

    edited(tree, change)


def mixed_rule_in_a_file(tree):
    edited(tree, lambda value: value["languages"]["fr"]["record"]["selection"].update(rule="en_dev"))


def edited_record(tree):
    def change(value):
        value["languages"]["fr"]["record"]["selection"]["scores"]["last"]["score"] = 0.99

    edited(tree, change)


def other_recipe(tree):
    edited(tree, lambda value: value["record"]["recipe"].update(epochs=20.0))


def not_the_papers_recipe(tree):
    shutil.copytree(tree / "results/tiny-lm/toy", tree / "results/tiny-lm/paper")
    for path in (tree / "results/tiny-lm/paper").rglob("*.json"):
        edited(tree, lambda value: value.update(recipe="paper"), path.relative_to(tree))


def script_in_a_field(tree):
    described(tree, title="<script>alert(1)</script>")


def script_in_a_record(tree):
    edited(
        tree, lambda value: value["record"]["environment"]["hardware"].update(processor="<img src=x onerror=alert(1)>")
    )


def script_in_a_link(tree):
    described(tree, paper="javascript:alert(1)")


def text_that_turns_around(tree):
    described(tree, contributor="an\u202ehonest person")


def path_in_a_name(tree):
    described(tree, name="../../evil")


def path_in_a_result(tree):
    edited(tree, lambda value: value.update(backbone="../tiny-lm"))


def link_out_of_the_tree(tree):
    (tree / "results/tiny-lm/toy/1/xnli.json").symlink_to("/etc/passwd")


def oversize_yaml(tree):
    file = tree / "backbones/tiny-lm.yaml"
    file.write_text(file.read_text() + "#" * 30_000)


def oversize_json(tree):
    file = tree / RESULT
    file.write_text(file.read_text() + " " * 2_000_000)


def oversize_predictions(tree):
    with (tree / "results/tiny-lm/toy/1/pawsx.de.parquet").open("ab") as file:
        file.write(os.urandom(1_100_000))


def bomb(tree):
    """A small file that unpacks to five million rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    schema = pq.read_schema(path)
    rows = 5_000_000
    zeros = pa.array([0]).take(pa.array([0] * rows)).cast(pa.int32())
    words = pa.array(["same"]).dictionary_encode().take(pa.array([0] * rows)).cast(pa.string())
    empty = pa.nulls(rows, pa.list_(pa.float32()))
    pq.write_table(pa.table([zeros, zeros, words, words, empty], schema=schema), path, compression="zstd")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edited(tree, lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest))


def deep_json(tree):
    (tree / RESULT).write_text("[" * 5000 + "]" * 5000)


def wrong_revision(tree):
    described(tree, hub="tiny/lm", revision="a" * 40, encoder_sha256=None)


def other_weights(tree):
    described(tree, encoder_sha256="b" * 64)


def other_size(tree):
    described(
        tree, parameters__encoder=yaml.safe_load((tree / "backbones/tiny-lm.yaml").read_text())["parameters"]["all"] - 1
    )


def unknown_language(tree):
    described(tree, pretraining__languages=["en", "tlh"])


def language_without_a_code(tree):
    described(tree, "tiny-new", architecture="mbart")


def claims_less_than_its_base(tree):
    described(tree, "tiny-cp", pretraining__languages=["en"])


def no_source_for_the_languages(tree):
    described(tree, pretraining__languages_source="")


def no_base(tree):
    described(tree, "tiny-cp", continued_from="nobody")


def stray_file(tree):
    (tree / "results/tiny-lm/toy/1/run.sh").write_text("echo")


def key_twice(tree):
    file = tree / "backbones/tiny-lm.yaml"
    file.write_text(file.read_text() + "family: MT\n")


def aliases(tree):
    file = tree / "backbones/tiny-lm.yaml"
    file.write_text(file.read_text().replace("contributor:", "x: &a [1]\ny: *a\ncontributor:"))


def hidden_collapse(tree):
    """Predictions of one class only, honestly scored, and not marked."""
    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    original = predictions.read(path)
    path.write_bytes(predictions.encoded(replace(original, predictions=[1] * len(original.labels))))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    right = sum(label == 1 for label in original.labels) / len(original.labels)

    def change(value):
        claimed(value, "de", right, official=right, stderr=(right * (1 - right) / (len(original.labels) - 1)) ** 0.5)
        value["languages"]["de"]["record"]["predictions"].update(sha256=digest)

    edited(tree, change)


def rewritten(tree, **changes):
    """Change columns of the predictions, with the hash to match."""
    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    original = predictions.read(path)
    header = original.header.model_copy(update=changes.pop("header", {}))
    path.write_bytes(predictions.encoded(replace(original, header=header, **changes)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edited(tree, lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest))


def endless_rows(tree):
    rewritten(tree, header={"rows": 10**15})


def joined_documents(tree):
    rewritten(tree, documents=[row // 2 for row in range(60)])


def sentence_without_words(tree):
    path = tree / "results/tiny-lm/toy/1/ner.de.parquet"
    original = predictions.read(path)
    empty = {key: [[], *getattr(original, key)[1:]] for key in ("labels", "predictions")}
    path.write_bytes(predictions.encoded(replace(original, **empty)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edited(
        tree,
        lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest),
        "results/tiny-lm/toy/1/ner.json",
    )


def classes_that_are_lists(tree):
    """A sentence's classes where a pair has one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tree / "results/tiny-lm/toy/1/pawsx.de.parquet"
    table = pq.read_table(path)
    table = table.set_column(2, "label", pa.array([[["same"]]] * 60)).replace_schema_metadata(table.schema.metadata)
    pq.write_table(table, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edited(tree, lambda value: value["languages"]["de"]["record"]["predictions"].update(sha256=digest))


BAD = [
    (deep_json, r"pawsx.json: is nested too deeply"),
    (endless_rows, r"pawsx.de.parquet: 60 of 1000000000000000 rows; expected all 60"),
    (joined_documents, r"pawsx.de.parquet: document: expected the row itself, for pawsx ranks nothing"),
    (sentence_without_words, r"ner.de.parquet: can't be scored: gold and predicted are empty"),
    (classes_that_are_lists, r"pawsx.de.parquet: no column, or no class of PAWS-X"),
    (wrong_schema, r"pawsx.json: version_of_mine: Extra inputs are not permitted"),
    (renamed_key, r"languages.de.record.training.steps: Field required"),
    (edited_score, r"languages.de.score: 0.99; its predictions give 0\.\d+"),
    (edited_predictions, r"pawsx.de.parquet: sha256 \w+; expected \w+, as the record says"),
    (edited_predictions_with_their_hash, r"languages.de.score: 0\.\d+; its predictions give 1.0"),
    (edited_labels, r"gold labels and queries of the predictions: de is \w+; \S+ has \w+"),
    (other_official_score, r"languages.de.record.official: 0.25; its predictions give 0.\d+"),
    (other_seqeval, "languages.de.record.official_seqeval1: 0.5; its predictions give None"),
    (other_rule_of_the_official_score, "languages.de.record.official_rule: expected accuracy"),
    (wrong_fingerprint, r"languages.de.record.data.fingerprint: 0{64}; expected \w+, that of the files"),
    (duplicate_seed, r"duplicate: every prediction equals those of"),
    (duplicate_backbone, r"duplicate: the same checkpoint as copy.yaml"),
    (missing_language, r"languages: fr missing; a result has all 4 of PAWS-X"),
    (limited, r"pawsx.de.parquet: 30 of 60 rows; expected all 60, each once, in order"),
    (mixed_protocol, r"protocol 'prompt': the leaderboard has fine-tuned and frozen encoders"),
    (mixed_rule, r"recipe: selection rule is \w+; \S+ has \w+"),
    (mixed_rule_in_a_file, r"languages.fr.record.selection.rule: en_dev, but de has last"),
    (edited_record, r"languages.fr.score: 0\.\d+; its record has 0.99 for the rule last"),
    (other_recipe, r"recipe: epochs is [\d.]+; \S+ has [\d.]+"),
    (not_the_papers_recipe, r"recipe: 'paper', but the options are not those of the recipe of that name"),
    (script_in_a_field, r"tiny-lm.yaml: title: holds HTML or a script \('<s'\)"),
    (script_in_a_record, r"record.environment.hardware.processor: holds HTML or a script \('<i'\)"),
    (script_in_a_link, r"tiny-lm.yaml: paper: String should match pattern"),
    (text_that_turns_around, r"contributor: holds the control character"),
    (path_in_a_name, r"tiny-lm.yaml: name: String should match pattern"),
    (path_in_a_result, r"pawsx.json: backbone: String should match pattern"),
    (link_out_of_the_tree, r"xnli.json: is a link"),
    (oversize_yaml, r"tiny-lm.yaml: 3\d,\d+ bytes; at most 20,000 are allowed"),
    (oversize_json, r"pawsx.json: 2,0\d\d,\d+ bytes; at most 1,500,000 are allowed"),
    (oversize_predictions, r"pawsx.de.parquet: 1,1\d\d,\d+ bytes; at most 250,000 are allowed"),
    (bomb, r"pawsx.de.parquet: unpacks to 5,000,000 values; at most 200,000 are allowed"),
    (wrong_revision, r"backbone.revision: tiny-lm at None; expected tiny/lm at a{40}, as the YAML says"),
    (other_weights, r"backbone.encoder_sha256: \w+; expected b{64}, as the YAML says"),
    (other_size, r"backbone.encoder_parameters: \d+; expected \d+, as the YAML says"),
    (unknown_language, r"pretraining.languages: no languages of the benchmark: tlh"),
    (language_without_a_code, r"bg, el: mBART-50's tokenizer has no code for them, so it has not seen them"),
    (claims_less_than_its_base, r"tiny-cp.yaml: pretraining.languages: lacks ar, bg, .*, which tiny-lm"),
    (no_source_for_the_languages, r"pretraining.languages_source: is empty"),
    (no_base, r"tiny-cp.yaml: continued_from: there is no nobody.yaml"),
    (stray_file, r"run.sh: belongs to no result"),
    (key_twice, r"tiny-lm.yaml: no YAML that is accepted: key family stands there twice"),
    (aliases, r"tiny-lm.yaml: no YAML that is accepted: aliases \(\*name\) are not allowed"),
    (hidden_collapse, r"languages.de.record.flags.collapsed: false, but every prediction is the same class"),
]


def real(tree):
    """Turn the example into what claims to be XGLUE."""
    for path in tree.rglob("*.json"):
        edited(tree, lambda value: value["record"].update(SAMPLE=False), path.relative_to(tree))
