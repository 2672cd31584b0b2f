"""What a key under test is held to: a limit and a budget, both so far away that neither is ever reached.

Writes the rows by the models themselves, so that no command's options stand in the way. Does not start the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEAD_S = 2.5
"""A budget is enforced two seconds after it was made; beginning no earlier, its account begins at nothing."""
_ROWS = """
from datetime import timedelta
from decimal import Decimal
from django.utils import timezone
from analytics.models import ApiKey, Budget
key = ApiKey.objects.get(name="{key}")
key.requests_per_minute = 1_000_000
key.save()
starts_at = timezone.now() + timedelta(seconds={lead_s})
Budget.objects.create(api_key=key, window="total", limit_usd=Decimal(100_000), starts_at=starts_at)
print(starts_at.timestamp())
"""


def impose(*, key: str, run: Callable[..., str]) -> None:
    """Returns once `key` is held to them; `run` is manage.py of the gateway. That serves already, so that its store
    counts from the budget's first moment on."""
    told = run("shell", "--no-imports", "--command", _ROWS.format(key=key, lead_s=LEAD_S))
    time.sleep(max(0.0, float(told.split()[-1]) - time.time()))
