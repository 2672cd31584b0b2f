"""How each page is looked at: on a phone and at a desk, in the light and in the dark."""

from __future__ import annotations

from itertools import product

import pytest

HEIGHTS = {390: 844, 1440: 900}
"""Of a window, by its width."""
each = pytest.mark.parametrize(("width", "scheme"), list(product(HEIGHTS, ("light", "dark"))))
