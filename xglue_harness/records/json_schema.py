"""The JSON Schema of what a run says about itself, for ``xglue-harness schema``."""

from __future__ import annotations

from typing import Any, Literal

from xglue_harness.records.parts import SCHEMA_VERSION, Record
from xglue_harness.records.probe_schema import ProbeRecord
from xglue_harness.records.prompt_schema import PromptRecord
from xglue_harness.records.schema import RunRecord


def json_schema(protocol: Literal["finetune", "prompt", "probe"] = "finetune") -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a run's record as it is written.

    Args:
        protocol: of the run.
    """
    records: dict[str, type[Record]] = {"finetune": RunRecord, "prompt": PromptRecord, "probe": ProbeRecord}
    record, name = records[protocol], "run" if protocol == "finetune" else protocol
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:xglue-harness:{name}-record:{SCHEMA_VERSION}",
        **record.model_json_schema(mode="serialization"),
        "title": f"xglue-harness {name} record",
    }
