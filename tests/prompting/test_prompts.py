"""Prompts are data: whole, in every language of a task, and wrong ones are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from xglue_harness.benchmark import TASKS, Kind
from xglue_harness.errors import PromptError
from xglue_harness.prompting.prompts import load_prompts
from xglue_harness.resources import tasks_folder


@pytest.mark.parametrize("spec", TASKS.values(), ids=TASKS)
def test_every_language_has_its_prompt(spec):
    prompts, sha256 = load_prompts(spec, tasks_folder())
    assert set(prompts.languages) == set(spec.languages)
    assert len(sha256) == 64
    texts = {(prompt.description, prompt.question) for prompt in prompts.languages.values()}
    assert len(texts) == len(spec.languages), "two languages have the same prompt"
    for prompt in prompts.languages.values():
        assert spec.label_column not in prompt.question
        assert prompt.question == prompt.question.rstrip()
        for column in (*spec.text_a, *spec.text_b):
            assert column in prompt.question


@pytest.mark.parametrize("name", ["ner", "pos"])
def test_every_tag_is_explained_and_the_line_format_has_a_real_tab(name):
    spec = TASKS[name]
    prompts, _ = load_prompts(spec, tasks_folder())
    for language, prompt in prompts.languages.items():
        missing = [tag for tag in spec.labels if tag.split("-")[-1] not in prompt.description]
        assert not missing, f"{language}: {missing}"
        assert "\t" in prompt.description, language


def test_no_word_of_a_class_begins_that_of_another():
    """The likelihood of "no" would hold that of "none": the shorter one would always win."""
    for spec in TASKS.values():
        if spec.kind is Kind.TAGGING:
            continue
        for language, prompt in load_prompts(spec, tasks_folder())[0].languages.items():
            words = list(prompt.choices.values())
            begun = [(a, b) for a in words for b in words if a != b and b.startswith(a)]
            assert not begun, f"{spec.name} {language}: {begun}"


def _changed(folder: Path, name: str, change) -> Path:
    target = folder / name
    shutil.copytree(tasks_folder() / name, target)
    value = yaml.safe_load((target / "prompts.yml").read_text(encoding="utf-8"))
    change(value)
    (target / "prompts.yml").write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def _set(path, value):
    *parents, last = path.split(".")

    def change(whole):
        for name in parents:
            whole = whole[name]
        whole[last] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("xnli", _set("languages.de.question", "{{premise}} {{hypothes}}"), "languages.de.question: 'hypothes' is"),
        ("xnli", _set("languages.de.question", "{{premise"), "languages.de.question: "),
        ("xnli", _set("languages.de.choices", {"entailment": "ja"}), "languages.de.choices: expected words for"),
        ("xnli", _set("languages.de.choices.neutral", "nein"), "languages.de.choices: two classes have the same words"),
        ("xnli", _set("languages.de.choices.neutral", ""), "languages.de.choices.neutral"),
        ("xnli", _set("languages.de.chances", {}), "languages.de.chances: Extra inputs"),
        ("xnli", _set("fallback", "O"), "fallback: tagging tasks, and they alone"),
        ("xnli", lambda whole: whole["languages"].pop("sw"), "languages: no prompt in sw"),
        ("ner", _set("fallback", "PERS"), "fallback: 'PERS' is no class; expected one of O, B-PER"),
        ("ner", _set("aliases.PERSON", "PER"), "aliases.PERSON: 'PER' is no class"),
        ("ner", _set("languages.de.choices", {"O": "o"}), "languages.de.choices: answers of a tagging task"),
        ("ner", lambda whole: whole.pop("fallback"), "fallback: tagging tasks"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(tmp_path, name, change, message):
    folder = _changed(tmp_path, name, change)
    with pytest.raises(PromptError) as error:
        load_prompts(TASKS[name], folder)
    assert str(folder / name / "prompts.yml") in str(error.value)
    assert message in str(error.value)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(PromptError, match=r"prompts\.yml: can't be read"):
        load_prompts(TASKS["nc"], tmp_path)
    (tmp_path / "nc").mkdir()
    (tmp_path / "nc" / "prompts.yml").write_text("languages: [", encoding="utf-8")
    with pytest.raises(PromptError, match=r"prompts\.yml: can't be read"):
        load_prompts(TASKS["nc"], tmp_path)
