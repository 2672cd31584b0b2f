#!/usr/bin/env python
"""The command line: `manage.py COMMAND --help`."""

from __future__ import annotations

import gc
import os
import sys

INTERRUPTED = 130
"""What shells call the end by Ctrl-C."""
GC_THRESHOLDS = (50_000, 20, 50)
"""What is imported stays: with Python's own numbers looking it through takes an eighth of a command's start."""


def main() -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    try:
        if sys.argv[1:2] == ["quickstart"] and not {"-h", "--help"} & set(sys.argv):
            print("Starting ...", file=sys.stderr, flush=True)  # what it imports takes seconds on a small machine
        run()
    except KeyboardInterrupt:  # wherever it comes, in an import as well
        sys.exit(INTERRUPTED)


def run() -> None:
    from gateway import command_line
    from gateway.env import EnvError
    from gateway.secrets import SecretsError

    try:
        command_line.run()
        sys.stdout.flush()
    except (EnvError, SecretsError) as error:
        sys.exit(f"manage.py: {error}")
    except BrokenPipeError:
        # The reader has seen enough (`| head`): say nothing, not even when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
