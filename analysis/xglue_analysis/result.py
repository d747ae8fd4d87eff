"""What a diagnostic returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A number and its standard error, in the same unit; a plain pair will do in its place."""

    value: float
    stderr: float | None = None
    """``None`` or NaN where there is none."""


@dataclass(frozen=True)
class DiagnosticResult:
    """Metrics and details of one diagnostic, for all languages that are scored.

    Attributes:
        languages: metrics of each language, by the language's code and the metric's name. A language may be missing.
        task: metrics of the task as a whole, by name; they are shown with each language.
        details: JSON that the record keeps, by language or under ``task``: values by layer, what was computed, ...

    A metric whose value is NaN or infinite is left out.
    """

    languages: Mapping[str, Mapping[str, Metric | tuple[float, float | None]]] = field(default_factory=dict)
    task: Mapping[str, Metric | tuple[float, float | None]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, returned: Any) -> DiagnosticResult:
        """Read what a diagnostic returned.

        Args:
            returned: a `DiagnosticResult`, any object with its attributes, or a dict with their names for keys, of
                which each may be missing.
        """
        if isinstance(returned, Mapping):
            return cls(**{name: returned[name] for name in _NAMES if name in returned})
        return cls(**{name: getattr(returned, name) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(DiagnosticResult))
