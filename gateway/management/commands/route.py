"""`manage.py route`: what would happen to a prompt, without calling anyone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from analytics import callers
from gateway.api.route import decision_json
from gateway.console import ConsoleCommand
from gateway.prompting import PromptProblem, add_prompt_arguments, chat_request, wishes
from gateway.wording import counted
from routing import dry_run, need, snapshot
from routing.decision import Decision, DecisionError


class Command(ConsoleCommand):
    help = "Shows score, layer, plan and every dropped model for a prompt. Nothing is sent anywhere."
    EXAMPLES = """\
examples:
  manage.py route "Prove that there are infinitely many primes"
  manage.py route --layer =L2 "hi"                 fenced to L2
  git diff | manage.py route --json
"""
    PROBLEMS = (PromptProblem, need.NeedError, DecisionError)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_prompt_arguments(parser)

    def run(self, options: Mapping[str, Any]) -> None:
        made = dry_run.decide(
            chat_request(options, is_stream=False),
            wishes=wishes(options),
            caller=callers.owner(),
            snapshot=snapshot.load(),
        )
        if options["json"]:
            self.print_json(decision_json(made))
            return
        self._print(made)

    def _print(self, made: Decision) -> None:
        shown = decision_json(made)
        score = "not judged" if made.score.value is None else f"{made.score.value:.2f}"
        self.stdout.write(
            f"Score {score}, enters at {shown['entry'] or 'the model named'} ({shown['entry_reason']}).\n"
            f"May take {counted(shown['max_attempts'], 'attempt')} and {shown['deadline_s']:g} s in all.\n"
        )
        self.print_table(
            ["reason", "points"],
            [(reason["name"], f"{reason['points']:+.2f}") for reason in shown["reasons"]],
            empty="No rule spoke.",
        )
        self.stdout.write("\nWould be tried, in this order:\n")
        rows = [
            (number, row["layer"], row["model"], row["provider"], row["cost_usd_at_most"])
            for number, row in enumerate(shown["attempts"], 1)
        ]
        self.print_table(["", "layer", "model", "provider", "at most $"], rows, empty="Nothing.")
        if made.plan.is_last_resort:
            self.stdout.write("It is out of order: a last resort, tried once.")
        if shown["dropped"]:
            self.stdout.write("\nWould not be tried:\n")
            dropped = [(row["layer"], row["model"], row["reason"], row["detail"]) for row in shown["dropped"]]
            self.print_table(["layer", "model", "why", ""], dropped, empty="")
