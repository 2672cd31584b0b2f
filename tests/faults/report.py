"""What came of the cases, as the table of docs/reliability.md: made of what the run found."""

from __future__ import annotations

from pathlib import Path

from tests.faults.asking import Outcome, Run
from tests.faults.cases import CASES, Beside
from tests.faults.faults import FAULTS
from tests.faults.table import Fault, Mode

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: written by `python -m tests.faults --write` -->", "<!-- /faults -->"
_HEAD = (
    "| What the provider does | Client, when nobody else is left | Ledger | Calls | Circuit "
    "| With another model behind it |\n"
    "| --- | --- | --- | --- | --- | --- |"
)
_NAMES = {Mode.JSON: "JSON", Mode.SSE: "stream"}


def table(run: Run) -> str:
    """Markdown, a row for each fault; two where a stream comes to something else than a whole answer."""
    return "\n".join([_HEAD, *(line for fault in FAULTS for line in _lines(fault, run))])


def committed(page: str) -> str:
    """The table of a page."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def with_table(page: str, written: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{written}\n\n{END}{rest.partition(END)[2]}"


def _lines(fault: Fault, run: Run) -> list[str]:
    told: dict[str, list[Mode]] = {}
    for mode in fault.modes:
        found = {case.beside: run.outcomes[case.name] for case in CASES if (case.fault, case.mode) == (fault, mode)}
        told.setdefault(_cells(found), []).append(mode)
    return [f"| {fault.words}{_of(modes, fault)} | {cells} |" for cells, modes in told.items()]


def _of(modes: list[Mode], fault: Fault) -> str:
    return "" if tuple(modes) == fault.modes else f" ({', '.join(_NAMES[mode] for mode in modes)})"


def _cells(found: dict[Beside, Outcome]) -> str:
    alone = found[Beside.NOTHING]
    kinds = [step["outcome"] for step in alone.rows[0].trail]
    others = dict.fromkeys(_beside(found[beside]) for beside in (Beside.SAME_LAYER, Beside.NEXT_LAYER))
    ledger, circuit = ", ".join(dict.fromkeys(kinds)), "stays" if alone.circuit.state == "closed" else "opens"
    return " | ".join([_client(alone), ledger, str(len(kinds)), circuit, "; else ".join(others)])


def _client(outcome: Outcome) -> str:
    got = outcome.got
    if not got.error:
        return "the answer"
    code = f"`{got.error['code']}`" if got.error["code"] else "the provider's words"
    if got.status == 200:
        return f"what came, then an error event, {code}"
    wait = f", Retry-After: {got.headers['Retry-After']}" if "Retry-After" in got.headers else ""
    return f"{got.status} {code}{wait}"


def _beside(outcome: Outcome) -> str:
    calls = len(outcome.rows[0].trail) - 1
    if outcome.healthy_calls:
        return f"its answer, after {calls} failed call{'' if calls == 1 else 's'}"
    return "the same"
