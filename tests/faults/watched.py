"""`manage.py` whose process tells its asyncio tasks when it is asked: `python -m tests.faults.watched serve`.

SIGUSR1 has them written to the file that `TASKS_FILE` names; nothing else differs from `manage.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

FILE_NAME = "TASKS_FILE"


def _write(number: int, frame: object) -> None:
    """In the main thread, between two steps of its loop."""
    tasks = Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    path = Path(os.environ[FILE_NAME])
    path.with_suffix(".new").write_text("\n".join(f"{count} {name}" for name, count in sorted(tasks.items())))
    path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _write)
    sys.argv[0] = "manage.py"
    import manage

    manage.main()
