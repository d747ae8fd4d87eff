"""QADSM: an advertisement that sells what the query looks for (Good), or another thing, or does not sell (Bad)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.sample import world
from tools.sample.lexicon import Lexicon
from tools.sample.plan import distinct, split_up, total
from tools.sample.tokens import fill, upper_first

PRODUCTS = (
    "shoes",
    "jackets",
    "chairs",
    "coffee",
    "bikes",
    "glasses",
    "lamps",
    "blankets",
    "bags",
    "knives",
    "headphones",
    "toys",
    "clocks",
    "tents",
    "guitars",
    "carpets",
)
CITY_QUERIES = (4, 5)
QUERIES = 6
NO_SALE = 0.6
"""Share of the bad advertisements that are about the right thing but sell nothing."""


@dataclass(frozen=True)
class Query:
    """A product, the wording and the city (empty where the wording has none)."""

    product: str
    wording: int
    city: str


@dataclass(frozen=True)
class Row:
    """A query, and an advertisement: its product, whether it sells, and its wordings."""

    query: Query
    product: str
    sells: bool
    title: int
    description: int
    label: str


def _draw_query(rng: Random) -> Query:
    wording = rng.randrange(QUERIES)
    return Query(rng.choice(PRODUCTS), wording, rng.choice(world.CITIES) if wording in CITY_QUERIES else "")


def _advertisements(rng: Random, query: Query) -> tuple[Row, Row]:
    """A good and a bad advertisement for the query."""
    no_sale = rng.random() < NO_SALE
    wrong = query.product if no_sale else rng.choice([p for p in PRODUCTS if p != query.product])
    good = Row(query, query.product, True, rng.randrange(3), rng.randrange(3), "Good")
    title, description = rng.randrange(3), rng.randrange(3)
    # The title and the description of a page that sells nothing belong together.
    return good, Row(query, wrong, not no_sale, title, title if no_sale else description, "Bad")


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the queries, each with a good and a bad advertisement, and shuffle."""
    queries = split_up(distinct(total(2), lambda: _draw_query(rng)), 2)
    result = {split: [row for query in part for row in _advertisements(rng, query)] for split, part in queries.items()}
    for rows in result.values():
        rng.shuffle(rows)
    return result


def render(row: Row, lexicon: Lexicon) -> list[str]:
    """Query, title, description, label."""
    data = lexicon.data["qadsm"]
    city = lexicon.plain(lexicon.city(row.query.city)) if row.query.city else ""
    query = fill(data["queries"][row.query.wording], p=data["products"][row.query.product], city=city)
    product = data["products"][row.product]
    slots = {"p": product, "P": upper_first(product, lexicon.language)}
    kind = "shop" if row.sells else "other"
    title = fill(data[f"{kind}_titles"][row.title], **slots)
    return [query, title, fill(data[f"{kind}_descriptions"][row.description], **slots), row.label]
