"""What somebody is told who typed too many wrong passwords: an error object below /v1/, a page elsewhere, 429 both.
django-axes' middleware calls it (`AXES_LOCKOUT_CALLABLE`) in place of what the view answered."""

from __future__ import annotations

import math
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from gateway.api import errors
from gateway.middleware import OPEN_PATHS

PAGE = "gateway/locked_out.html"


class LockedOut(HttpRequest):
    locked_for_s: int
    """Set by `analytics.guessing`."""


def answer(request: LockedOut, *_: Any) -> HttpResponse:
    minutes = math.ceil(request.locked_for_s / 60)
    headers = {"Retry-After": str(request.locked_for_s), "Cache-Control": "no-store"}
    if request.path.startswith(OPEN_PATHS):
        message = f"Too many wrong passwords: try again in {minutes} minute{'' if minutes == 1 else 's'}."
        return errors.problem(429, "too_many_attempts", message, headers=headers)
    text = render_to_string(PAGE, {**admin.site.each_context(request), "minutes": minutes}, request)
    return HttpResponse(text, status=429, headers=headers)
