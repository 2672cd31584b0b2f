"""Measures the hand-written rules on recorded answers of weak and strong models, which are not part of this project."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from routing.complexity import score
from routing.types import Need

pytestmark = pytest.mark.wire

LEAST_MIX = 0.59
"""Share of the gap between weak and strong recovered, all sources pooled; 0.5 is chance."""
LEAST_MACRO = 0.51
"""The same within a source, averaged over them."""
UNJUDGED = 0.3


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("ROUTING_DATA")
    if not folder:
        pytest.skip(
            "no routing data: set ROUTING_DATA to a folder that holds dev.jsonl.gz, meta.json and evaluate_router.py"
        )
    return Path(folder)


def load_evaluator(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("evaluate_router", folder / "evaluate_router.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The evaluator that comes with the data leaves a file for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_hard_prompts_are_told_from_easy_ones(data: Path) -> None:
    evaluator = load_evaluator(data)
    rows, meta = evaluator.load(str(data), "dev")
    judged = [score(Need(prompt=row["prompt"])).value for row in rows]
    result = evaluator.evaluate(rows, meta, [UNJUDGED if value is None else value for value in judged])
    assert result["two_tier"]["MIX"]["apgr"] >= LEAST_MIX
    assert result["macro_within"]["apgr"] >= LEAST_MACRO
