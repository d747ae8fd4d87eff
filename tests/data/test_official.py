"""Readers: every kind of file, the traps of the format, and each bad input with its exact message."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.layout import sentence_file, spelling, tagging_file
from xglue_harness.benchmark import TASKS, Kind, TaskSpec, task
from xglue_harness.data.official import Rows, parse, read, rows_sha256
from xglue_harness.errors import DataError

SENTENCE = [spec for spec in TASKS.values() if spec.kind is not Kind.TAGGING]
TAGGING = [spec for spec in TASKS.values() if spec.kind is Kind.TAGGING]
NC, XNLI, PAWSX, NER, POS = (task(name) for name in ("nc", "xnli", "pawsx", "ner", "pos"))


def error(data: bytes, spec: TaskSpec, split: str = "test") -> str:
    with pytest.raises(DataError) as caught:
        read(data, spec, split, "F")
    return str(caught.value)


@pytest.mark.parametrize("spec", SENTENCE, ids=lambda spec: spec.name)
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_sentence_files_of_every_task(spec: TaskSpec, split: str) -> None:
    rows = read(sentence_file(spec, split, "en", rows=7), spec, split, "F")
    assert len(rows) == 7
    assert tuple(rows.texts) == spec.columns[:-1]
    assert rows.labels == [number % len(spec.labels) for number in range(7)]
    assert rows.texts[spec.columns[0]][2] == f"{spec.columns[0]} en {split} 1"


@pytest.mark.parametrize("spec", TAGGING, ids=lambda spec: spec.name)
def test_tagging_files(spec: TaskSpec) -> None:
    rows = read(tagging_file(spec, "dev", "de", rows=5), spec, "dev", "F")
    assert len(rows) == 5
    assert rows.texts["words"][1] == ["dedev1.0", "dedev1.1", "dedev1.2"]
    assert rows.labels[1] == [3, 4, 5]
    assert not rows.unterminated


def test_both_spellings_of_contradiction() -> None:
    rows = read(b"a\tb\tcontradictory\nc\td\tcontradiction\n", XNLI, "test", "F")
    assert rows.labels == [2, 2]


def test_quotes_are_ordinary_characters() -> None:
    rows = read(b'"open\tnot " closed\tneutral\n\'x\t""\tneutral\n', XNLI, "test", "F")
    assert rows.texts == {"premise": ['"open', "'x"], "hypothesis": ['not " closed', '""']}


@pytest.mark.parametrize(
    "character", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\r", "\xa0", "\ufeff", "\0"]
)
def test_only_the_newline_ends_a_line(character: str) -> None:
    rows = read(f"a{character}b\tc\tneutral\n".encode(), XNLI, "test", "F")
    assert rows.texts["premise"] == [f"a{character}b"]


def test_windows_line_ends_lose_one_carriage_return() -> None:
    rows = read(b"a\tb\tneutral\r\nc\td\r\tentailment\r\n", XNLI, "test", "F")
    assert rows.labels == [1, 0]
    assert rows.texts["hypothesis"] == ["b", "d\r"]
    assert read(b"a O\r\n\r\nb O\r\n", NER, "test", "F").texts["words"] == [["a"], ["b"]]


def test_byte_order_mark_is_dropped() -> None:
    assert read(b"\xef\xbb\xbfa\tb\tneutral\n", XNLI, "test", "F").texts["premise"] == ["a"]
    assert read(b"\xef\xbb\xbfa O\n", NER, "test", "F").texts["words"] == [["a"]]


def test_final_newline_may_lack_or_be_doubled() -> None:
    for end in (b"", b"\n", b"\n\n", b"\r\n\r\n"):
        assert len(read(b"a\tb\tneutral" + end, XNLI, "test", "F")) == 1


def test_empty_and_very_long_fields() -> None:
    body = "x" * 28_000
    rows = read(f"\t{body}\tnews\nt\t\tsports\n".encode(), NC, "test", "F")
    assert rows.texts == {"news_title": ["", "t"], "news_body": [body, ""]}


def test_blanks_round_a_label_are_harmless() -> None:
    assert read(b"a\tb\t neutral \n", XNLI, "test", "F").labels == [1]


def test_words_may_hold_blanks_and_the_last_one_separates() -> None:
    data = "20 000 NUM\nkinh tế NOUN\n20\xa0000 NUM\na  NOUN\nx NOUN  \n".encode()
    assert read(data, POS, "test", "F").texts["words"] == [["20 000", "kinh tế", "20\xa0000", "a", "x"]]


def test_a_tab_separates_where_there_is_one() -> None:
    assert read(b"New York\tPROPN\nis AUX\n", POS, "test", "F").texts["words"] == [["New York", "is"]]


def test_sentences_are_parted_by_one_or_more_blank_lines() -> None:
    rows = read(b"\n\na O\n\n\n \nb O\nc O", NER, "test", "F")
    assert rows.texts["words"] == [["a"], ["b", "c"]]
    assert rows.unterminated
    assert not read(b"a O\n\n", NER, "test", "F").unterminated


def test_iob1_is_not_repaired() -> None:
    rows = read(b"Berlin I-LOC\nParis B-LOC\n\n", NER, "test", "F")
    assert rows.labels == [[NER.labels.index("I-LOC"), NER.labels.index("B-LOC")]]


@pytest.mark.parametrize(
    ("spec", "split", "data", "message"),
    [
        (XNLI, "test", b"", "F:1: the file is empty; expected 3 fields separated by tabs: premise, hypothesis, label"),
        (XNLI, "test", b"\xef\xbb\xbf", "F:1: the file is empty; expected 3 fields separated by tabs"),
        (XNLI, "test", b"\n", "F:1: no row in the file; expected 3 fields separated by tabs"),
        (XNLI, "train", b"premise\thypo\tlabel\n", "F:1: no row in the file; expected 3 fields separated by tabs"),
        (
            XNLI,
            "test",
            b"a\tb\tneutral\na\tneutral\n",
            "F:2: 2 fields; expected 3 fields separated by tabs: premise, hypothesis, label",
        ),
        (XNLI, "test", b"alone\n", "F:1: 1 field; expected 3 fields separated by tabs: premise, hypothesis, label"),
        (XNLI, "test", b"a\tb\tc\tneutral\n", "F:1: 4 fields; expected 3 fields separated by tabs"),
        (
            PAWSX,
            "test",
            b"id\ts\ts\tlabel\na\tb\t1\n",
            "F:2: 3 fields; expected 4 fields separated by tabs: id, sentence1, sentence2, label",
        ),
        (XNLI, "test", b"a\tb\tneutral\n\na\tb\tneutral\n", "F:2: blank line; expected 3 fields separated by tabs"),
        (XNLI, "test", b"a\tb\tneutral\n\n\n", "F:2: blank line; expected 3 fields separated by tabs"),
        (
            XNLI,
            "test",
            b"a\tb\tmaybe\n",
            "F:1: unknown label 'maybe'; expected one of entailment, neutral, contradiction, contradictory",
        ),
        (XNLI, "test", b"premise\thypothesis\tlabel\n", "F:1: unknown label 'label'; expected one of entailment"),
        (XNLI, "test", b"a\tb\t\n", "F:1: unknown label ''; expected one of"),
        (
            XNLI,
            "test",
            b"a\tb\tneutral\na\xff\tb\tneutral\n",
            "F:2: invalid UTF-8: byte 0xff at byte 2; expected UTF-8 text",
        ),
        (
            XNLI,
            "train",
            b"a\tb\tneutral\nc\td\tneutral\n",
            "F:1: a row where the header line should be; expected a header such as premise | hypothesis | label",
        ),
        (
            PAWSX,
            "dev",
            b"1\ta\tb\t0\n2\tc\td\t1\n",
            "F:1: a row where the header line should be; expected a header such as id",
        ),
        (NER, "test", b"", "F:1: the file is empty; expected a word, a blank and its label on each line"),
        (NER, "test", b"\n \n", "F:1: no row in the file; expected a word, a blank and its label on each line"),
        (NER, "test", b"a O\nword\n", "F:2: a word without a label: 'word'; expected a word, a blank and its label"),
        (NER, "test", b"word \n", "F:1: a word without a label: 'word'; expected a word, a blank and its label"),
        (NER, "test", b"word\t\n", "F:1: a word without a label: 'word'; expected a word, a blank and its label"),
        (NER, "test", b"a O\n\n O\n", "F:3: a label without a word: 'O'; expected a word, a blank and its label"),
        (NER, "test", b"\tO\n", "F:1: a label without a word: 'O'; expected a word, a blank and its label"),
        (NER, "test", b"a S-PER\n", "F:1: unknown label 'S-PER'; expected one of O, B-PER, I-PER"),
        (NER, "test", b"a O\n\nb\xc3 O\n", "F:3: invalid UTF-8: byte 0xc3 at byte 2; expected UTF-8 text"),
    ],
)
def test_bad_input(spec: TaskSpec, split: str, data: bytes, message: str) -> None:
    assert error(data, spec, split).startswith(message)


VIETNAMESE = "Kinh tế NOUN\nthị trường NOUN\nlà VERB\n. PUNCT\n\n"


@pytest.mark.parametrize(
    ("spec", "data", "message"),
    [
        (POS, "Das\tART\tDET\n", "F:1: 3 columns parted by tabs: 'Das\\tART\\tDET'; expected a word, a blank and"),
        (POS, VIETNAMESE + "Das\tART\tDET\n", "F:6: 3 columns parted by tabs"),
        (POS, "Das\t\tDET\n", "F:1: 3 columns parted by tabs"),
        (POS, "\tDas\tDET\n", "F:1: 3 columns parted by tabs"),
        (POS, "Das\tDET\t\n", "F:1: 3 columns parted by tabs"),
        (POS, "1\tDas\tder\tDET\tART\t_\t2\tdet\t_\t_\n", "F:1: 10 columns parted by tabs"),
        (POS, "1-2\tzum\t_\t_\t_\t_\t_\t_\t_\t_\n", "F:1: 10 columns parted by tabs"),
        (NER, "EU NNP B-NP B-ORG\n", "F:1: 4 columns; expected a word and its label alone (with a tab between them"),
        (NER, "EU B-ORG\nNew York B-LOC\n", "F:2: 3 columns; expected a word and its label alone"),
        (NER, "-DOCSTART- -X- -X- O\n\nEU B-ORG\n", "F:1: 4 columns; expected a word and its label alone"),
        (POS, "so ADV\n\n-DOCSTART-\t-X-\tX\n", "F:3: 3 columns parted by tabs"),
        (NER, "-DOCSTART- O\n\n", "F:1: no row in the file"),
        (POS, "Das ART DET\n", "F:1: more than two columns in 1 of 1 lines of the file: what stands before the label"),
        (POS, "Das ART DET\nHaus NN NOUN\n\nda ADV\n", "F:1: more than two columns in this sentence"),
        (POS, "so ADV\n\n1 Das DET\n2 Haus NOUN\n", "F:3: more than two columns in this sentence"),
        (POS, "Das  ART  DET\nHaus  NN  NOUN\n", "F:1: more than two columns"),
        (POS, "New York\tPROPN\n" * 30, "F:1: more than two columns in 30 of 30 lines of the file"),
        (POS, VIETNAMESE + "# text = Generation X\nX X\n", "F:6: a comment of CoNLL-U; remove it"),
        (POS, "so ADV\n#sent_id = 1 X\n", "F:2: a comment of CoNLL-U"),
        (POS, "Das DET\rHaus NOUN\r", "F:1: several words, parted by carriage returns"),
        (POS, "a X\n" * 2001, "F:1: a sentence of 2001 words; expected a blank line after each"),
        (POS, "a X\n\n" * 20, "F:2: a blank line after every word; expected one after each sentence"),
        (XNLI, '"a"\t"b"\tneutral\n"c"\t"d"\tneutral\n', "F:1: every premise stands in quotes; expected plain fields"),
        (XNLI, '"a"\t"b"\t"neutral"\n', "F:1: unknown label '\"neutral\"'"),
        (XNLI, '"a","b","neutral"\n', "F:1: 1 field; expected 3 fields separated by tabs"),
        (XNLI, '{"premise": "a", "hypothesis": "b", "label": 0}\n', "F:1: 1 field; expected 3 fields"),
        (XNLI, "1\ta\tb\tneutral\n", "F:1: 4 fields; expected 3 fields"),
        (XNLI, "premise\thypothesis\tlabel\na\tb\tneutral\n", "F:1: unknown label 'label'"),
        (NC, "".join(f"{n}\ttext\tnews\n" for n in (7, 8, 9)), "F:1: every news_title is the number of its row"),
        (PAWSX, "id\ts\ts\tlabel\na text\tb\t0.5\t1\n", "F:2: an id that holds a blank: 'a text'; expected 4 fields"),
        (PAWSX, 'id\ts\ts\tlabel\n1\t"a"\tb\t1\n2\t"c"\td\t1\n', "F:2: every sentence1 stands in quotes"),
    ],
)
def test_other_layouts(spec: TaskSpec, data: str, message: str) -> None:
    assert error(data.encode(), spec).startswith(message)


@pytest.mark.parametrize("mark", ["-DOCSTART- O", "-DOCSTART-\tO", "-DOCSTART- -X-"])
def test_a_document_mark_is_no_word(mark: str) -> None:
    rows = read(f"{mark}\n\nEU B-ORG\nso O\n\n{mark}\n\nda O\n{mark}\nja O\n".encode(), NER, "test", "F")
    assert rows.texts["words"] == [["EU", "so"], ["da"], ["ja"]]


def test_another_layout_is_told_once_and_a_fifth_of_words_with_blanks_is_none() -> None:
    problems: list[int] = []
    parse(b"Das ART DET\nHaus NN NOUN\n\n" * 9, POS, "test", lambda line, _: problems.append(line))
    assert problems == [1]
    assert len(read(VIETNAMESE.encode() * 9, POS, "test", "F")) == 9
    assert len(read(b"# SYM\n#1 X\n\nNew York\tPROPN\n", POS, "test", "F")) == 2
    assert len(read(b'"a"\t"b\tneutral\nc\t"d"\tneutral\n', XNLI, "test", "F")) == 2
    assert len(read(b"New York\tB-LOC\n", NER, "test", "F")) == 1
    assert len(read(b"1\ta\tnews\n3\tb\tnews\n5\tc\tnews\n", NC, "test", "F")) == 3


def test_a_long_bad_label_is_cut_short() -> None:
    assert len(error(b"a\tb\t" + b"x" * 10_000 + b"\n", XNLI)) < 250


def test_parse_goes_on_after_a_bad_line() -> None:
    problems: list[tuple[int, str]] = []
    data = b"a\tb\tneutral\nshort\nc\td\tmaybe\n\xff\ne\tf\tentailment\n"
    rows = parse(data, XNLI, "test", lambda line, message: problems.append((line, message)))
    assert rows.labels == [1, 0]
    assert [line for line, _ in problems] == [2, 3, 4]


def test_no_second_complaint_where_all_rows_are_bad() -> None:
    problems: list[int] = []
    parse(b"short\n", XNLI, "test", lambda line, _: problems.append(line))
    parse(b"word\n", NER, "test", lambda line, _: problems.append(line))
    assert problems == [1, 1]


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), max_size=30)
WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), min_size=1, max_size=12).filter(
    lambda word: word.strip(" ") == word
)


@given(st.lists(st.tuples(FIELD, FIELD, st.integers(0, 9)), min_size=1, max_size=8), st.booleans())
def test_sentence_rows_come_back_as_written(table: list[tuple[str, str, int]], newline: bool) -> None:
    lines = ["\t".join([title, body, NC.labels[label]]) for title, body, label in table]
    data = b"\xef\xbb\xbf" + ("\n".join(lines) + ("\n" if newline else "")).encode()
    rows = read(data, NC, "test", "F")
    assert rows == Rows(
        {"news_title": [row[0] for row in table], "news_body": [row[1] for row in table]}, [row[2] for row in table]
    )


@given(
    st.lists(st.lists(st.tuples(WORD, st.integers(0, 16)), min_size=1, max_size=5), min_size=1, max_size=5),
    st.booleans(),
)
def test_tagged_sentences_come_back_as_written(sentences: list[list[tuple[str, int]]], blank_line: bool) -> None:
    blocks = ["".join(f"{word}\t{POS.labels[label]}\n" for word, label in sentence) for sentence in sentences]
    data = b"\xef\xbb\xbf" + ("\n".join(blocks) + ("\n" if blank_line else "")).encode()
    rows = read(data, POS, "test", "F")
    assert rows.texts["words"] == [[word for word, _ in sentence] for sentence in sentences]
    assert rows.labels == [[label for _, label in sentence] for sentence in sentences]
    assert rows.unterminated is not blank_line


def test_the_hash_is_of_the_rows_and_not_of_their_spelling() -> None:
    plain = b'premise\thypothesis\tlabel\n\xc3\xa9\t"h\tcontradictory\nq\tr\tneutral\n'
    rows = read(plain, XNLI, "train", "F")
    assert rows_sha256(rows) == hashlib.sha256('["é", "\\"h", 2]\n["q", "r", 1]\n'.encode()).hexdigest()
    spelt = b"\xef\xbb\xbfP\tH\tL\r\n" + plain.split(b"\n", 1)[1].replace(b"\n", b"\r\n").replace(b"ctory", b"ction")
    assert rows_sha256(read(spelt, XNLI, "train", "F")) == rows_sha256(rows)
    for before, after in ((b"\nq", b"\nr"), (b"\tr", b"\tq"), (b"neutral", b"entailment")):
        assert rows_sha256(read(plain.replace(before, after), XNLI, "train", "F")) != rows_sha256(rows)
    tagged = read(b"a O\nb I-PER\n\nc O\n\n", NER, "test", "F")
    assert rows_sha256(tagged) == hashlib.sha256(b'[["a", "b"], [0, 2]]\n[["c"], [0]]\n').hexdigest()


def test_the_helper_spells_labels_as_the_files_do() -> None:
    assert spelling(PAWSX, 1) == "1"
    assert spelling(XNLI, 2) == "contradictory"
    assert spelling(NER, 0) == "O"
