"""The shapes of a task: what is different about each, in one file a shape. No files, no models, no lm-eval."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xglue_harness.benchmark import Kind, TaskSpec
from xglue_harness.kinds.base import TaskKind
from xglue_harness.kinds.classification import Classification
from xglue_harness.kinds.ranking import Ranking
from xglue_harness.kinds.tagging import Tagging

KINDS: Mapping[Kind, type[TaskKind]] = MappingProxyType(
    {
        Kind.SINGLE: Classification,
        Kind.PAIR: Classification,  # whether there is a second text, the task's columns say
        Kind.RANKING: Ranking,
        Kind.TAGGING: Tagging,
    }
)
"""The class of each shape; `xglue_harness.kinds.base` says how to add one."""


def kind_of(spec: TaskSpec) -> TaskKind:
    """What the shape of a task decides, for that task."""
    return KINDS[spec.kind](spec)
