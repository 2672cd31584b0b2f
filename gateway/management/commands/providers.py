"""`manage.py providers`: who can be called, whether they can, and what to do where they cannot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console

from analytics.spool import SpoolError
from gateway import checking, mending, provider_listing, serving, trying
from gateway.api.chat import cost_text
from gateway.checking import Check, Subject
from gateway.command_line import ActionParser
from gateway.console import ConsoleCommand, plain
from gateway.trying import Trial
from providers.models import Provider

SOMETHING_IS_WRONG = 3


class BadOption(Exception):
    """Options that do not go together; the message says what to write."""


class Command(ConsoleCommand):
    help = "Lists the providers with their state and credential (never its value); checks and tries them."
    EXAMPLES = """\
check spends nothing: it looks at the key, the address, the answer, the speed, and for each of our enabled models in
the provider's list. test sends one tiny chat, which is recorded and paid for like any other. Both say how to mend what
is wrong, and neither needs a server.

examples:
  manage.py providers                          the list
  manage.py providers check                    every enabled provider
  manage.py providers check groq --json
  manage.py providers test openai              its cheapest model
  manage.py providers test openai --model gpt-6-luna --stream
  manage.py providers test --all               each enabled one that has its key

exit status: 0 all is well, 3 check, test: something is wrong with a named provider, or with an enabled one that has
what it needs, 1 error
"""
    PROBLEMS = (checking.UnknownProvider, BadOption, SpoolError, serving.StartError)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="JSON instead of a table.")
        actions = parser.add_subparsers(dest="action", parser_class=ActionParser, metavar="{list,check,test}")
        listing = actions.add_parser("list", help="Show every provider; also without a word.")
        check = actions.add_parser("check", help="Find out what is wrong, without spending anything.")
        check.add_argument("slug", nargs="*", metavar="SLUG", help="All enabled ones by default.")
        check.add_argument(
            "--timeout", type=_seconds, default=checking.TIMEOUT_S, metavar="S", help="For each (%(default)g s)."
        )
        check.add_argument(
            "--slow", type=_seconds, default=checking.SLOW_S, metavar="S", help="What is called slow (%(default)g s)."
        )
        test = actions.add_parser("test", help="Send one tiny chat.")
        test.add_argument("slug", nargs="*", metavar="SLUG", help="Which providers.")
        test.add_argument("--all", action="store_true", help="Each enabled provider that has what it needs.")
        test.add_argument("--model", metavar="NAME", help="The provider's own id; its cheapest by default.")
        test.add_argument("--stream", action="store_true", help="As a stream, to see the time to the first token.")
        for action in (listing, check, test):
            # Suppressed: else it would undo a --json that stands before the action.
            action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="JSON instead of text.")

    def run(self, options: Mapping[str, Any]) -> None:
        getattr(self, f"_{options['action'] or 'list'}")(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = [_shown(row) for row in provider_listing.rows().order_by("slug")]
        if options["json"]:
            self.print_json(rows)
            return
        headings = ["provider", "name", "dialect", "enabled", "credential", "models", "base URL"]
        shown = [
            (row["slug"], row["name"], row["dialect"], "yes" if row["enabled"] else "no", row["credential"],
             row["models"], row["base_url"])
            for row in rows
        ]  # fmt: skip
        self.print_table(headings, shown, empty="No providers yet. Load some: manage.py catalog load")

    def _check(self, options: Mapping[str, Any]) -> None:
        subjects = checking.subjects(options["slug"])
        with _progress(subjects) as done:
            checks = checking.run(subjects, within_s=options["timeout"], slow_s=options["slow"], done=done)
        # Vendors ship switched on, and most people have a key for one of them.
        told = [check for check in checks if options["slug"] or not check.lacks_its_key]
        if options["json"]:
            self.print_json([_check_json(check) for check in checks])
        else:
            headings = ["provider", "state", "answered in", "models listed", "ours"]
            self.print_table(headings, [_check_row(check) for check in checks], empty="No provider is enabled.")
            self._print_problems([(check.slug, problem) for check in told for problem in check.problems])
            if unused := [check.slug for check in checks if check not in told]:
                self.stdout.write(
                    f"\nNot used, as they have no key: {', '.join(unused)}. `check SLUG` says how to add it."
                )
        if not all(check.is_well for check in told):
            sys.exit(SOMETHING_IS_WRONG)

    def _test(self, options: Mapping[str, Any]) -> None:
        subjects = _to_test(options)
        try:
            with _progress(subjects) as done:
                trials = trying.run(subjects, model=options["model"], is_stream=options["stream"], done=done)
        except KeyboardInterrupt:
            sys.exit(130)
        if options["json"]:
            shown = [_trial_json(trial) for trial in trials]
            self.print_json(shown[0] if len(options["slug"]) == 1 else shown)
        else:
            for trial in trials:
                self.stdout.write(plain(_trial_text(trial)))
            self._print_problems([(trial.slug, trial.problem) for trial in trials if trial.problem])
        if any(trial.problem for trial in trials):
            sys.exit(SOMETHING_IS_WRONG)

    def _print_problems(self, problems: Sequence[tuple[str, mending.Problem]]) -> None:
        for slug, problem in problems:
            self.stdout.write(plain(f"\n{slug}: {problem.trouble}: {problem.says}.\n  {problem.mend}."))


@contextmanager
def _progress(subjects: Sequence[Subject]) -> Iterator[Callable[[str], None]]:
    """Says on a terminal for whom we wait; gives what to call with each slug that is through."""
    waiting = [subject.provider.slug for subject in subjects]
    console = Console(stderr=True)
    if not console.is_terminal or not waiting:
        yield lambda slug: None
        return
    with console.status(f"Waiting for {', '.join(waiting)} ...", spinner="line") as status:

        def done(slug: str) -> None:
            waiting.remove(slug)
            status.update(f"Waiting for {', '.join(waiting) or 'nobody'} ...")

        yield done


def _to_test(options: Mapping[str, Any]) -> list[Subject]:
    if bool(options["slug"]) == options["all"]:
        raise BadOption("Name a provider, as in `manage.py providers test openai`, or say --all.")
    if options["model"] and len(options["slug"]) != 1:
        raise BadOption("--model needs one provider to have that model.")
    subjects = checking.subjects(options["slug"])
    return subjects if options["slug"] else [subject for subject in subjects if subject.key_problem is None]


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 3600:  # also what is no number at all
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _state(check: Check) -> str:
    state = ", ".join(dict.fromkeys(problem.trouble.value for problem in check.problems)) or "well"
    return state if check.enabled else f"{state} (switched off)"


def _check_row(check: Check) -> tuple[object, ...]:
    took = None if check.took_s is None else f"{check.took_s:.2f} s"
    return check.slug, _state(check), took, check.listed, check.models


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "slug": check.slug,
        "enabled": check.enabled,
        "well": check.is_well,
        "latency_ms": None if check.took_s is None else round(check.took_s * 1000),
        "models_listed": check.listed,
        "models_enabled": check.models,
        "problems": [mending.as_json(problem) for problem in check.problems],
    }


def _trial_text(trial: Trial) -> str:
    if trial.took_s is None or trial.bill is None:
        return f"{trial.slug}: {trial.model or 'no model'}: no answer."
    usage = trial.bill.usage
    first = "" if trial.first_token_s is None else f"first token after {trial.first_token_s:.2f} s, "
    return (
        f"{trial.slug}: {trial.model}: {trial.answer.strip() or '(no text)'}\n"
        f"  {first}{trial.took_s:.2f} s in all, {usage.all_input_tokens} tokens in and {usage.output_tokens} out, "
        f"${cost_text(trial.bill)} ({trial.bill.source.value})"
    )


def _trial_json(trial: Trial) -> dict[str, Any]:
    bill = trial.bill
    return {
        "provider": trial.slug,
        "model": trial.model,
        "id": trial.request_id or None,
        "answer": trial.answer or None,
        "first_token_ms": None if trial.first_token_s is None else round(trial.first_token_s * 1000),
        "latency_ms": None if trial.took_s is None else round(trial.took_s * 1000),
        "input_tokens": bill.usage.all_input_tokens if bill else None,
        "output_tokens": bill.usage.output_tokens if bill else None,
        "cost_usd": cost_text(bill) if bill else None,
        "problem": mending.as_json(trial.problem) if trial.problem else None,
    }


def _shown(row: Any) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "name": row.name,
        "dialect": row.dialect,
        "enabled": row.enabled,
        "credential": _credential(row),
        "models": row.model_count,
        "base_url": row.base_url,
    }


def _credential(row: Provider) -> str:
    """Where the credential comes from and whether it is there."""
    stands = provider_listing.credential_json(row)
    if not row.needs_credential or stands["source"] is None:
        return "missing" if row.needs_credential else "not needed"
    source = stands["env_var"] or f"stored, ends in {stands['last_four'] or '...'}"
    says = {"unreadable": " (cannot be used; the log says why)", "missing": " is not set"}
    return source + says.get(stands["state"], "")
