"""The embedded sample is what its generator writes, and has the shape that the rest of the package counts on."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from tools.sample import make_sample
from tools.sample.plan import SIZES
from xglue_harness.benchmark import LANGUAGES, TASKS, Kind, TaskSpec

SAMPLE = Path(__file__).resolve().parents[1] / "xglue_harness" / "data" / "sample"
TABLES = [spec for spec in TASKS.values() if spec.kind is not Kind.TAGGING]
TAGGING = [spec for spec in TASKS.values() if spec.kind is Kind.TAGGING]
IOB1 = {"de", "en"}


def by_name(spec: TaskSpec) -> str:
    return spec.name


def rows(spec: TaskSpec, split: str, language: str) -> list[list[str]]:
    """The rows of a file, without header and id; the label spelt as in ``spec.labels``."""
    lines = (SAMPLE / spec.path(split, language)).read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    fields = [line.split("\t")[spec.skipped_columns :] for line in lines[split in spec.header :]]
    return [[*row[:-1], spec.aliases.get(row[-1], row[-1])] for row in fields]


def sentences(spec: TaskSpec, split: str, language: str) -> list[list[tuple[str, str]]]:
    """The sentences of a file as (word, label) pairs."""
    blocks = (SAMPLE / spec.path(split, language)).read_text(encoding="utf-8").split("\n\n")
    assert blocks.pop() == ""
    return [[(word, label) for word, label in (line.split(" ") for line in block.split("\n"))] for block in blocks]


def test_files_are_those_of_the_generator(tmp_path: Path) -> None:
    assert make_sample.main([str(tmp_path)]) == 0
    expected = {path for spec in TASKS.values() for _, _, path in spec.files()} | {"README.md"}
    for folder in (tmp_path, SAMPLE):
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == expected
    for path in sorted(expected):
        assert (SAMPLE / path).read_bytes() == (tmp_path / path).read_bytes(), path
    assert sum((SAMPLE / path).stat().st_size for path in expected) <= 1_500_000


def test_check_reports_each_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_sample.main(["--check"]) == 0
    make_sample.main([str(tmp_path)])
    (tmp_path / "XNLI" / "de.dev").write_text("changed\n", encoding="utf-8")
    (tmp_path / "XNLI" / "de.test").unlink()
    (tmp_path / "more").touch()
    assert make_sample.main([str(tmp_path), "--check"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("superfluous: more\nmissing: XNLI/de.test\ndifferent: XNLI/de.dev\n")


@pytest.mark.parametrize("spec", TABLES, ids=by_name)
def test_tables_have_full_rows_and_balanced_labels(spec: TaskSpec) -> None:
    for split, language, path in spec.files():
        table = rows(spec, split, language)
        assert len(table) == SIZES[split], path
        for row in table:
            assert len(row) == len(spec.columns), path
            assert all(field and field == field.strip() for field in row), path
        counts = Counter(row[-1] for row in table)
        assert set(counts) == set(spec.labels), path
        assert max(counts.values()) - min(counts.values()) <= 1, path


@pytest.mark.parametrize("spec", TABLES, ids=by_name)
def test_rows_mean_the_same_in_every_language(spec: TaskSpec) -> None:
    for split in ("dev", "test"):
        labels = [[row[-1] for row in rows(spec, split, language)] for language in spec.languages]
        assert all(one == labels[0] for one in labels)


@pytest.mark.parametrize("spec", TABLES, ids=by_name)
def test_no_input_occurs_twice(spec: TaskSpec) -> None:
    for language in spec.languages:
        splits = ["dev", "test"] + ["train"] * (language == "en")
        inputs = [tuple(row[:-1]) for split in splits for row in rows(spec, split, language)]
        repeated = [row for row, count in Counter(inputs).items() if count > 1]
        assert not repeated, language


@pytest.mark.parametrize("name", ["xnli", "pawsx", "qam", "qadsm", "wpr"])
def test_first_texts_are_disjoint_across_splits(name: str) -> None:
    firsts = [{row[0] for row in rows(TASKS[name], split, "en")} for split in SIZES]
    assert sum(map(len, firsts)) == len(set.union(*firsts))


@pytest.mark.parametrize("spec", TABLES, ids=by_name)
def test_labels_are_in_no_simple_order(spec: TaskSpec) -> None:
    labels = [row[-1] for row in rows(spec, "train", "en")]
    size = len(spec.labels)
    assert labels != sorted(labels, key=spec.labels.index)
    for step in range(1, 11):
        repeats = sum(a == b for a, b in zip(labels, labels[step:], strict=False)) / (len(labels) - step)
        assert abs(repeats - 1 / size) < 0.2, step


def test_wpr_queries_have_each_grade_once() -> None:
    spec = TASKS["wpr"]
    for split, language, path in spec.files():
        table = rows(spec, split, language)
        groups = [table[i : i + 5] for i in range(0, len(table), 5)]
        assert all(len({row[0] for row in group}) == 1 for group in groups), path
        assert len({group[0][0] for group in groups}) == len(groups), path
        assert all({row[-1] for row in group} == set(spec.labels) for group in groups), path
        assert len({tuple(row[-1] for row in group) for group in groups}) > 1, path


def test_official_spellings() -> None:
    xnli, pawsx = TASKS["xnli"], TASKS["pawsx"]
    train = (SAMPLE / xnli.path("train", "en")).read_text(encoding="utf-8").split("\n")
    assert train[0] == "premise\thypo\tlabel"
    assert {line.split("\t")[2] for line in train[1:-1]} == {"entailment", "neutral", "contradictory"}
    assert (SAMPLE / xnli.path("dev", "de")).read_text(encoding="utf-8").count("\tcontradiction\n") in {13, 14}
    for split, language, path in pawsx.files():
        lines = (SAMPLE / path).read_text(encoding="utf-8").split("\n")
        assert lines[0] == "id\tsentence1\tsentence2\tlabel"
        assert [line.split("\t")[0] for line in lines[1:-1]] == [str(i + 1) for i in range(SIZES[split])], language


@pytest.mark.parametrize("spec", TAGGING, ids=by_name)
def test_tagged_sentences(spec: TaskSpec) -> None:
    for split, language, path in spec.files():
        found = sentences(spec, split, language)
        assert len(found) == SIZES[split], path
        assert all(word and label in spec.labels for sentence in found for word, label in sentence), path
        assert not any(character.isspace() for sentence in found for word, _ in sentence for character in word), path
        texts = [" ".join(word for word, _ in sentence) for sentence in found]
        assert len(set(texts)) == len(texts), path


@pytest.mark.parametrize("spec", TAGGING, ids=by_name)
def test_tagged_splits_are_disjoint(spec: TaskSpec) -> None:
    texts = [{tuple(word for word, _ in sentence) for sentence in sentences(spec, split, "en")} for split in SIZES]
    assert sum(map(len, texts)) == len(set.union(*texts))


def test_pos_uses_most_tags() -> None:
    spec = TASKS["pos"]
    used = {label for split, lang, _ in spec.files() for sent in sentences(spec, split, lang) for _, label in sent}
    assert set(spec.labels) - used <= {"SYM", "X"}
    for language in spec.languages:
        tags = {label for sentence in sentences(spec, "test", language) for _, label in sentence}
        assert {"NOUN", "VERB", "ADP", "ADJ", "NUM", "PROPN", "PRON", "INTJ", "CCONJ", "PUNCT"} <= tags, language


def test_ner_has_every_type_and_the_official_scheme() -> None:
    spec = TASKS["ner"]
    for split, language, path in spec.files():
        kinds = set()
        touching = 0
        for sentence in sentences(spec, split, language):
            previous = "O"
            for _, label in sentence:
                kind, before = label[2:], previous[2:]
                kinds.add(kind)
                if language in IOB1:
                    assert label[0] != "B" or kind == before, path
                else:
                    assert label[0] != "I" or kind == before, path
                touching += label[0] == "B" and kind == before
                previous = label
        assert kinds == {"", "PER", "ORG", "LOC", "MISC"}, path
        assert touching > 0, path


def test_ner_entities_are_parallel() -> None:
    spec = TASKS["ner"]
    for split in ("dev", "test"):
        found = []
        for language in spec.languages:
            kinds = [Counter(label[2:] for _, label in sentence) for sentence in sentences(spec, split, language)]
            found.append([(count["PER"], count["ORG"], count["MISC"] > 0) for count in kinds])
        assert all(one == found[0] for one in found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_composed_unicode_without_slots(language: str) -> None:
    for spec in TASKS.values():
        for _, lang, path in spec.files():
            if lang == language:
                text = (SAMPLE / path).read_text(encoding="utf-8")
                assert text == unicodedata.normalize("NFC", text), path
                assert not set(text) & set("$|{}+\r"), path
