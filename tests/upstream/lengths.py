"""How long answers are whose length nobody asked for: heavy-tailed, as models' are. Pure.

Half of them have at most the median's tokens, two in a hundred go on until something stops them; what lies between is
log-normal. The draw depends on the request's words alone: the same question is as long again, whatever its limit.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist

ENDLESS_SHARE = 0.02
SIGMA = 1.0
"""Of the logarithm: one answer in ten is more than 3.6 medians long."""
_NORMAL = NormalDist()


def drawn(*seed: object, median: int) -> int | None:
    """Tokens of the answer with this seed; None where it ends only at a limit."""
    at = _uniform(*seed)
    if at >= 1 - ENDLESS_SHARE:
        return None
    return max(1, round(median * math.exp(SIGMA * _NORMAL.inv_cdf(at))))


def _uniform(*seed: object) -> float:
    """Between 0 and 1, both excluded."""
    found = blake2b("\n".join(map(str, seed)).encode(errors="replace"), digest_size=6).digest()
    return (int.from_bytes(found) + 0.5) / 2**48
