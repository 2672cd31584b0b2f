"""`manage.py serve`: runs the gateway until it is told to stop."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway import serving
from gateway.console import ExamplesFormatter

EXAMPLES = """\
examples:
  manage.py serve                                  on http://127.0.0.1:3000
  manage.py serve --host 0.0.0.0 --port 8080       in a container
  manage.py serve --workers 4                      with REDIS_URL set
"""


class Command(BaseCommand):
    help = "Runs the HTTP server, with the embedded model and the embedded Celery worker where they are wanted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = ExamplesFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("--host", default=serving.DEFAULT_HOST, help="Address to listen on (%(default)s).")
        parser.add_argument("--port", type=int, default=serving.DEFAULT_PORT, help="Port to listen on (%(default)s).")
        parser.add_argument("--workers", type=int, default=1, help="Server processes; more than one needs REDIS_URL.")
        parser.add_argument("--no-worker", action="store_true", help="Do not start the embedded Celery worker.")
        parser.add_argument("--no-model", action="store_true", help="Do not start the embedded model.")

    def handle(self, *_: Any, **options: Any) -> None:
        wanted = serving.Options(
            host=options["host"],
            port=options["port"],
            workers=options["workers"],
            with_worker=not options["no_worker"],
            with_model=not options["no_model"],
        )
        try:
            serving.serve(wanted)
        except serving.StartError as error:
            raise CommandError(str(error)) from error
