"""WPR: five pages for a query, graded by how many of its aspects they meet.

4 meets object, city and property; 3 object and city, in general terms; 2 the object, in another city and with another
property; 1 the city only; 0 nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.sample import world
from tools.sample.lexicon import Lexicon
from tools.sample.plan import distinct, split_up, total
from tools.sample.tokens import fill, upper_first

OBJECTS = ("hotel", "restaurant", "museum", "dentist", "school", "bikes", "cinema", "pool", "bookshop", "market")
PROPERTIES = ("prices", "hours", "address", "phone", "reviews", "photos")
GRADES = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Topic:
    """An object, a city and a property: what a query asks for, or what a page is about."""

    thing: str
    city: str
    quality: str


@dataclass(frozen=True)
class Row:
    """A query, the topic of a page, which of the pages for its grade it is, and the grade."""

    query: Topic
    page: Topic
    variant: int
    grade: int


def _pages(rng: Random, query: Topic) -> list[Row]:
    """The five pages of a query in random order."""
    other = Topic(
        query.thing,
        rng.choice([city for city in world.CITIES if city != query.city]),
        rng.choice([quality for quality in PROPERTIES if quality != query.quality]),
    )
    pages = [Row(query, other if grade == 2 else query, rng.randrange(6), grade) for grade in GRADES]
    rng.shuffle(pages)
    return pages


def plan(rng: Random) -> dict[str, list[Row]]:
    """Draw the queries, each with its five pages."""

    def draw() -> Topic:
        return Topic(rng.choice(OBJECTS), rng.choice(world.CITIES), rng.choice(PROPERTIES))

    queries = split_up(distinct(total(5), draw), 5)
    return {split: [row for query in part for row in _pages(rng, query)] for split, part in queries.items()}


def _parts(entry: str) -> tuple[str, str]:
    name, _, sentence = entry.partition("|")
    return name.strip(), sentence.strip()


def _slots(topic: Topic, lexicon: Lexicon) -> dict[str, str]:
    data = lexicon.data["wpr"]
    name = _parts(data["objects"][topic.thing])[0]
    return {
        "object": name,
        "Object": upper_first(name, lexicon.language),
        "city": lexicon.plain(lexicon.city(topic.city)),
        "in_city": lexicon.plain(lexicon.in_city(topic.city)),
        "property": _parts(data["properties"][topic.quality])[0],
    }


def render(row: Row, lexicon: Lexicon) -> list[str]:
    """Query, title, snippet, grade."""
    data, page = lexicon.data["wpr"], row.page
    slots = _slots(page, lexicon)
    if row.grade == 0:
        title, snippet = _parts(data["unrelated"][row.variant % len(data["unrelated"])])
    elif row.grade == 1:
        title = fill(data["city_title"], **slots)
        snippet = fill(data["city_snippets"][row.variant % 2], **slots)
    else:
        about = fill(_parts(data["objects"][page.thing])[1], **slots)
        more = data["overview"] if row.grade == 3 else _parts(data["properties"][page.quality])[1]
        title = fill(data["overview_title" if row.grade == 3 else "exact_title"], **slots)
        snippet = f"{about}{'' if lexicon.language == 'zh' else ' '}{more}"
    return [fill(data["query"], **_slots(row.query, lexicon)), title, snippet, str(row.grade)]
