"""The data layer: every task's splits as memory-mapped tables, whatever they come from."""

from xglue_harness.data.opening import open_source
from xglue_harness.data.source import LoadedSplit, Source, fingerprint, unofficial

__all__ = ["LoadedSplit", "Source", "fingerprint", "open_source", "unofficial"]
