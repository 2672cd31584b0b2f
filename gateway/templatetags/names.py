"""Names as the pages show them in narrow cells: where they may be broken. Pure."""

from __future__ import annotations

import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

_JOINT = re.compile(r"([-_./]+|[^-_./\s]{12})(?=[^-_./\s])")
"""Where a reader would break it; of a longer piece each twelfth letter, so that no column is widened by one name."""


@register.filter
def breakable(name: object) -> SafeString:
    """The name, escaped, with leave to be broken behind - _ . and / and within a piece of more than 12 letters."""
    *pieces, last = _JOINT.sub("\\1\0", str(name)).split("\0")
    return format_html("{}{}", format_html_join("", "{}<wbr>", ((piece,) for piece in pieces)), last)
