from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

ROOT = Path(settings.BASE_DIR) / "templates"
NAMES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.*") if not path.name.startswith("."))


@pytest.mark.parametrize("name", [*NAMES, "admin/index.html"])
def test_each_template_compiles(name):
    get_template(name)
