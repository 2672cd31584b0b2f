"""`manage.py quickstart`: from nothing to an answer in one command."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from gateway import quickstart, serving
from gateway.console import ExamplesFormatter

EXAMPLES = """\
examples:
  uv run --extra local manage.py quickstart        with the embedded model: no key, no download
  OPENROUTER_API_KEY=... manage.py quickstart      with a provider's key
  manage.py quickstart --no-serve                  one request, then stop
"""
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Prepares everything, starts the gateway and sends one real request. "
        "What exists is kept: a second run only starts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = ExamplesFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("--port", type=int, default=serving.DEFAULT_PORT, help="Port to listen on (%(default)s).")
        parser.add_argument("--no-serve", action="store_true", help="Stop everything after the first request.")

    def handle(self, *_: Any, **options: Any) -> None:
        wanted = quickstart.Options(port=options["port"], keep_serving=not options["no_serve"])
        try:
            answered = quickstart.run(wanted, console=Console())
        except serving.StartError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        if not answered and options["no_serve"]:
            sys.exit(1)
