"""`manage.py usage`: a report as a table for people, with totals and the change against the period before; or as JSON
or CSV, as the API has it."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import usage_answers, usage_csv, usage_options, usage_rows
from gateway.console import ConsoleCommand
from gateway.usage_rows import Answer, Row
from routing import snapshot

SAVINGS = "savings"
EXAMPLES = """\
Cost, tokens, latency and errors out of the ledger's roll-ups. Recent spans are exact to the minute, those older than
eight days to 15 minutes; the answer says which span it is of.

examples:
  manage.py usage                                       the last seven days beside the seven before
  manage.py usage --by model --since 7d
  manage.py usage --by key --project lab --since "this month"
  manage.py usage --step day --since 2026-11-01 --zone Europe/Berlin
  manage.py usage --report latency --by provider --since 24h
  manage.py usage --report savings --since "last month"
  manage.py usage --by project,layer --csv > usage.csv
"""
_SHOWN: Mapping[str, tuple[str, ...]] = {
    "usage": ("requests", "errors", "error_share", "fallback_share", "tokens", "output_tokens", "cost_usd"),
    "cost": ("requests", "tokens", "output_tokens", "cost_usd", "usd_per_request", "budget_usd"),
    "latency": (
        "answered", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "first_token_p50_ms", "first_token_p95_ms",
    ),
    "errors": ("requests", "errors", "error_share"),
    "top": ("requests", "errors", "error_share", "tokens", "cost_usd"),
}  # fmt: skip
"""Columns of the table; JSON and CSV have all."""
_HEADINGS = {
    "error_share": "errors %", "fallback_share": "fell back %", "output_tokens": "of them output", "cost_usd": "cost",
    "usd_per_request": "each", "budget_usd": "for budgets", "latency_p50_ms": "p50", "latency_p95_ms": "p95",
    "latency_p99_ms": "p99", "first_token_p50_ms": "first token p50", "first_token_p95_ms": "first token p95",
    "error_kind": "error", "start": "from",
}  # fmt: skip
_COMPARED = {"cost_usd": "cost", "latency_p95_ms": "p95 latency", "first_token_p95_ms": "p95 first token"}
_IDS = ("key_id", "project_id", "end")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--report", choices=[*usage_answers.REPORTS, SAVINGS], default="usage", help="What to tell (%(default)s)."
    )
    usage_options.add_groups(parser)
    usage_options.add_span(parser, usual="7d")
    usage_options.add_filters(parser)
    parser.add_argument("--order", metavar="WHAT", help="Groups with the most cost, requests, tokens or errors first.")
    parser.add_argument("--no-compare", action="store_true", help="Without the period before.")
    usage_options.add_form(parser, usual_rows=usage_answers.USUAL_ROWS)


def run(command: ConsoleCommand, options: Mapping[str, Any]) -> None:
    """Raises: ValidationError naming the option."""
    said = {name: value for name, value in options.items() if name != "report"}
    asked = usage_options.parameters(said | ({"compare": "false"} if options["no_compare"] else {}))
    if options["report"] == SAVINGS:
        _tell_savings(command, options, asked)
        return
    found = usage_answers.answer(usage_answers.question(options["report"], asked, asker=usage_options.EVERYTHING))
    if options["json"]:
        command.print_json(usage_rows.answer(found))
    elif options["csv"]:
        command.stdout.write(usage_csv.written(found.columns, found.data), ending="")
    else:
        _print(command, found)


def _print(command: ConsoleCommand, found: Answer) -> None:
    figures = _SHOWN[found.report]
    groups = [name for name in found.columns if name not in usage_rows.COLUMNS[found.report] and name not in _IDS]
    columns = [*(name for name in groups if name != "share"), *figures]
    if "share" in groups:
        columns.append("share")
    rows = [[_cell(name, row.get(name)) for name in columns] for row in found.data]
    if groups:
        rows.append(["all", *(_cell(name, found.totals.get(name)) if name in figures else "" for name in columns[1:])])
    headings = [_HEADINGS.get(name, name.replace("_", " ")) for name in columns]
    command.print_table(headings, rows, empty="")
    command.stdout.write(f"\n{_of(usage_rows.span(found.span))}.")
    if found.before is not None and found.change is not None:
        command.stdout.write(_beside(found.before, found.change))
    if found.after is not None:
        command.stdout.write(f"There are more: --after {found.after}")


def _beside(before: Mapping[str, Any], change: Row) -> str:
    if not before["requests"]:
        return f"Before that, {_of(before['span'], with_zone=False)}: nothing was used."
    told = [
        f"{_COMPARED.get(name, name)} {_cell(name, before.get(name))} ({_grown(by)})" for name, by in change.items()
    ]
    return f"Before that, {_of(before['span'], with_zone=False)}: {', '.join(told)}."


def _grown(share: Any) -> str:
    return "nothing to compare with" if share is None else f"now {share:+.1%}"


def _of(span: Mapping[str, str], *, with_zone: bool = True) -> str:
    start, end = (span[edge][:16].replace("T", " ") for edge in ("start", "end"))
    return f"{start} to {end}{' ' + span['zone'] if with_zone else ''}"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "start":
        return str(value)[:16].replace("T", " ")
    if name.endswith("share"):
        return f"{value:.1%}"
    if name.endswith("_usd") or name.startswith("usd_"):
        return f"${value}"
    if name.endswith("_ms"):
        return f"{value:,.0f} ms"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _tell_savings(command: ConsoleCommand, options: Mapping[str, Any], asked: Any) -> None:
    found = usage_answers.savings(asked, asker=usage_options.EVERYTHING, snapshot=snapshot.load())
    rows: Sequence[Row] = usage_rows.savings(found)
    if options["json"]:
        command.print_json(usage_rows.savings_answer(found))
        return
    if options["csv"]:
        command.stdout.write(usage_csv.written(tuple(rows[0]), rows), ending="")
        return
    told = f"{found.requests:,} requests were answered for ${usage_rows.money(found.cost_usd)}"
    command.stdout.write(f"{_of(usage_rows.span(found.span))}: {told}.\n\n")
    names = ("label", "cost_usd", "saved_usd", "saved_share", "premium_share", "gateway_premium_share", "reason")
    headings = ["instead", "cost", "saved", "saved %", "premium %", "premium % now", ""]
    cells = [[_cell(name, row[name]) if name != "reason" else row[name] for name in names] for row in rows]
    command.print_table(headings, cells, empty="")
