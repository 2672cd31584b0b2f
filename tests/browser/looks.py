"""How each page is looked at: on a phone in the dark, at a desk in the light; under `soak` the other way round, too."""

from __future__ import annotations

import pytest

HEIGHTS = {390: 844, 1440: 900}
"""Of a window, by its width."""
each = pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        (1440, "light"),
        pytest.param(390, "light", marks=pytest.mark.soak),
        pytest.param(1440, "dark", marks=pytest.mark.soak),
    ],
)
