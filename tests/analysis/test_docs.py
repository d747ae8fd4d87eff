"""The worked example of the documentation runs as it stands, but for the encoder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xglue_harness.harness.demo import build_encoder

DOCS = Path(__file__).resolve().parents[2] / "docs" / "analysis.md"


@pytest.mark.skipif(not DOCS.exists(), reason="the documentation is not beside the tests")
def test_the_worked_example_runs(tmp_path, capsys):
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    example = next(block for block in blocks if "AutoModel" in block)
    build_encoder(tmp_path)
    assert "FacebookAI/xlm-roberta-base" in example
    exec(example.replace("FacebookAI/xlm-roberta-base", str(tmp_path)), {})
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:3]] == ["CKA", "ANC", "P@1"]
    assert len(printed) == 3 + 3 * 2 + 1
    value, biased = (float(printed[0].split()[place]) for place in (1, 3))
    assert -0.2 < value < biased < 1
