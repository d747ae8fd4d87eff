"""Tags are read from whatever form an answer has, and no word gets a tag that is not its own."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xglue_harness.benchmark import TASKS
from xglue_harness.prompting.prompts import load_prompts
from xglue_harness.prompting.tags import read_tags, strict_answer
from xglue_harness.resources import tasks_folder

POS, NER = TASKS["pos"], TASKS["ner"]
ALIASES = {spec.name: load_prompts(spec, tasks_folder())[0].aliases for spec in (POS, NER)}
WORDS = ["The", "cat", ",", "Paris", "20 000", ":", "X", "the", "."]
TAGS = ["DET", "NOUN", "PUNCT", "PROPN", "NUM", "PUNCT", "X", "DET", "PUNCT"]
PAIRS = list(zip(WORDS, TAGS, strict=True))


def _read(answer, words=WORDS, spec=POS):
    found = read_tags(answer, words, spec.labels, ALIASES[spec.name])
    return [None if tag is None else spec.labels[tag] for tag in found]


FORMS = {
    "strict": strict_answer(WORDS, TAGS),
    "carriage returns": strict_answer(WORDS, TAGS).replace("\n", "\r\n"),
    "blank": "\n".join(f"{word} {tag}" for word, tag in PAIRS),
    "colon, numbered, lower case": "\n".join(f"{i}. {word}: {tag.lower()}" for i, (word, tag) in enumerate(PAIRS, 1)),
    "arrow, list, bold": "\n".join(f"- **{word}** -> {tag}" for word, tag in PAIRS),
    "slash": "\n".join(f"{word}/{tag}" for word, tag in PAIRS),
    "tuples": "[" + ",\n".join(f'("{word}", "{tag}")' for word, tag in PAIRS) + "]",
    "table": "| word | tag |\n|---|---|\n" + "\n".join(f"| {word} | {tag} |" for word, tag in PAIRS),
    "fence and chatter": f"Sure! Here are the tags:\n```text\n{strict_answer(WORDS, TAGS)}\n```\nI hope this helps.",
    "thoughts": f"<think>The\tNOUN? No.\n</think>\n{strict_answer(WORDS, TAGS)}",
    "tags alone": "\n".join(TAGS),
    "tags alone, numbered": "\n".join(f"{i}. {tag}" for i, tag in enumerate(TAGS, 1)),
    "numbered columns": "\n".join(f"{i}\t{word}\t{tag}" for i, (word, tag) in enumerate(PAIRS, 1)),
    "other words": "\n".join(f"w{i}\t{tag}" for i, tag in enumerate(TAGS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_is_read(form):
    assert _read(FORMS[form]) == TAGS


def test_words_with_tags_in_a_row():
    words = ["The", "cat", "sat", "."]
    assert _read("The/DET cat/NOUN sat/VERB ./PUNCT", words) == ["DET", "NOUN", "VERB", "PUNCT"]
    assert _read("The_DET cat_NOUN sat_VERB ._PUNCT", words) == ["DET", "NOUN", "VERB", "PUNCT"]


def test_other_names_of_a_tag_are_understood():
    assert _read("The\tdeterminer\ncat\tcommon noun", ["The", "cat"])[0] == "DET"
    assert _read("Paris\tproper noun\nand\tcoordinating conjunction", ["Paris", "and"]) == ["PROPN", "CCONJ"]
    assert _read("Ann\tPERSON\nin\tO\nRome\tLoc", ["Ann", "in", "Rome"], NER) == ["I-PER", "O", "I-LOC"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The\tDET\nParis\tPROPN\n.\tPUNCT", ["DET", None, None, "PROPN", None, None, None, None, "PUNCT"]),
        ("The\tDET\ncat\tANIMAL\n,\tPUNCT", ["DET", None, "PUNCT", None, None, None, None, None, None]),
        ("\n".join(TAGS[:3]), ["DET", "NOUN", "PUNCT", None, None, None, None, None, None]),
        ("\n".join([*TAGS, "DET"]), [None] * 9),
        ("I would rather talk about the weather.", [None] * 9),
        ("", [None] * 9),
        ("```\n```", [None] * 9),
    ],
)
def test_a_word_without_a_readable_tag_has_none(answer, expected):
    assert _read(answer) == expected


def test_what_a_model_goes_on_to_say_changes_nothing():
    more = "\n\nWords:\nA\ndog\nTags:\nA\tDET\ndog\tNOUN"
    assert _read(strict_answer(WORDS, TAGS) + more) == TAGS


WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(WORD, st.sampled_from(POS.labels)), min_size=1, max_size=12))
@example([("```", "ADJ"), ("```py", "X")])
def test_the_strict_answer_is_read_as_it_was_written(pairs):
    words, tags = (list(column) for column in zip(*pairs, strict=True))
    assert _read(strict_answer(words, tags), words) == tags


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200), st.lists(WORD, min_size=1, max_size=6))
def test_any_text_gives_each_word_a_tag_or_none(answer, words):
    found = read_tags(answer, words, POS.labels, ALIASES["pos"])
    assert len(found) == len(words)
    assert all(tag is None or 0 <= tag < len(POS.labels) for tag in found)
