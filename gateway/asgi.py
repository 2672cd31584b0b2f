"""The ASGI entry: lifespan, the short way for the hot paths, Django's own application for everything else."""

from __future__ import annotations

import gc
import logging
import os
import warnings
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

from django.core.asgi import get_asgi_application

# WhiteNoise sends files the synchronous way; they are small and few.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")

# Django narrows the ASGI types to plain dicts; what servers pass is one.
django_application: Any = get_asgi_application()

from analytics import gauges
from analytics.spool import SpoolError
from gateway.short_way import Receive, Scope, Send, ShortWay
from gateway.urls import short_way_views
from routing import runtime

logger = logging.getLogger(__name__)

GC_THRESHOLDS = (20_000, 20, 50)
"""A request makes hundreds of containers and hardly a cycle: by default Python looks for some at every other one."""

short_way = ShortWay(short_way_views)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        if scope["path"] in short_way.views:
            await short_way.handle(scope, receive, send)
        else:
            await django_application(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _refuse_websocket(receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    _add_gauges()
    try:
        async with runtime.running(role="server"):
            # What was imported stays for good: the garbage collector need not walk it again and again.
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            await send({"type": "lifespan.startup.complete"})
            await receive()
    except SpoolError as error:
        await send({"type": "lifespan.startup.failed", "message": f"{error}. Free the disk or set VAR_DIR."})
        return
    await send({"type": "lifespan.shutdown.complete"})


def _add_gauges() -> None:
    entrance = short_way.entrance
    gauges.add("requests_open", lambda: entrance.in_flight)
    gauges.add("requests_turned_away", lambda: entrance.turned_away)
    gauges.add("body_bytes", lambda: entrance.held_bytes)


async def _refuse_websocket(receive: Receive, send: Send) -> None:
    """No WebSocket is served yet: closing before accepting answers 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})
