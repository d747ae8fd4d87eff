"""The data layer: every task's splits as memory-mapped tables, whatever they come from."""

from xglue_harness.data.resolve import open_source
from xglue_harness.data.source import LoadedSplit, Source, fingerprint, unofficial

__all__ = ["LoadedSplit", "Source", "fingerprint", "open_source", "unofficial"]
