"""NC: a title, and a body of a place name and three sentences, all from the lexicon of the category."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random

from tools.sample import world
from tools.sample.lexicon import Lexicon
from tools.sample.plan import balanced, distinct, split_up, total
from xglue_harness.benchmark import TASKS

TITLES = 3
SENTENCES = 6


@dataclass(frozen=True)
class Row:
    """A category, the numbers of its title and sentences, and a city."""

    category: str
    city: str
    title: int
    sentences: tuple[int, ...]


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the articles; no title and body occur together twice."""
    labels = TASKS["nc"].labels
    order = [label for part in split_up(range(total())).values() for label in balanced(rng, labels, len(part))]

    def draw(category: str) -> Row:
        sentences = tuple(rng.sample(range(SENTENCES), 3))
        return Row(category, rng.choice(world.CITIES), rng.randrange(TITLES), sentences)

    pools = {label: distinct(order.count(label), partial(draw, label)) for label in labels}
    return split_up([pools[label].pop() for label in order])


def render(row: Row, lexicon: Lexicon) -> list[str]:
    """Title, body, category."""
    texts = lexicon.data["nc"][row.category]
    body = " ".join(texts["sentences"][i] for i in row.sentences)
    city = lexicon.plain(lexicon.city(row.city))
    return [texts["titles"][row.title], f"{city} – {body}", row.category]
