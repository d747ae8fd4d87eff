"""QAM: a passage that answers the question (1), or tells something else of the same house (0)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.sample import world
from tools.sample.lexicon import Lexicon
from tools.sample.ner import draw_person
from tools.sample.plan import distinct, split_up, total
from tools.sample.tokens import fill, upper_first

PLACES = ("museum", "library", "theatre", "gallery", "aquarium", "castle", "observatory", "concerthall")
ASPECTS = ("year", "price", "director", "street", "hour")
STREETS = ("Goethe", "Mozart", "Curie", "Newton", "Pasteur")
FILLERS = 4
VAGUE = 0.6
"""Share of the wrong passages that state no fact at all; the others state one that was not asked for."""


@dataclass(frozen=True)
class Question:
    """What is asked of which house in which city."""

    aspect: str
    place: str
    city: str


@dataclass(frozen=True)
class Row:
    """A question and a passage: the aspect it tells of (empty for none), its facts and further sentences."""

    question: Question
    aspect: str
    facts: tuple[tuple[str, str], ...]
    fillers: tuple[int, ...]
    label: str


def _passage(rng: Random, question: Question, aspect: str, label: str) -> Row:
    facts = (
        ("year", str(rng.randrange(1850, 2020))),
        ("number", str(rng.randrange(5, 30))),
        ("person", draw_person(rng)),
        ("street", rng.choice(STREETS)),
        ("hour", str(rng.randrange(17, 23))),
    )
    return Row(question, aspect, facts, tuple(rng.sample(range(FILLERS), 1 if aspect else 2)), label)


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the questions, each with a right and a wrong passage, and shuffle."""

    def draw() -> Question:
        return Question(rng.choice(ASPECTS), rng.choice(PLACES), rng.choice(world.CITIES))

    result: dict[str, list[Row]] = {}
    for split, questions in split_up(distinct(total(2), draw), 2).items():
        rows = []
        for question in questions:
            others = [aspect for aspect in ASPECTS if aspect != question.aspect]
            wrong = "" if rng.random() < VAGUE else rng.choice(others)
            rows += [_passage(rng, question, question.aspect, "1"), _passage(rng, question, wrong, "0")]
        rng.shuffle(rows)
        result[split] = rows
    return result


def render(row: Row, lexicon: Lexicon) -> list[str]:
    """Question, passage, label."""
    data = lexicon.data["qam"]
    city = lexicon.plain(lexicon.city(row.question.city))
    house = fill(data["places"][row.question.place], city=city)
    slots = {"x": house, "X": upper_first(house, lexicon.language), **dict(row.facts)}
    sentences = [data["answers"][row.aspect]] if row.aspect else []
    sentences += [data["fillers"][i] for i in row.fillers]
    passage = " ".join(fill(sentence, **slots) for sentence in sentences)
    return [fill(data["questions"][row.question.aspect], **slots), passage, row.label]
