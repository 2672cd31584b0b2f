"""Since when the ledger has all its rows, and the roll-ups all of them: rows that were there before the roll-ups are in
none until `manage.py usage rebuild`."""

from datetime import timedelta

from django.db import migrations, models
from django.utils import timezone


def begin(apps, editor):
    has_rows = apps.get_model("analytics", "UsageRecord").objects.exists()
    tomorrow = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    apps.get_model("analytics", "LedgerSpan").objects.create(id=1, counted_from=tomorrow if has_rows else None)


class Migration(migrations.Migration):
    dependencies = [("analytics", "0005_gauges")]

    operations = [
        migrations.CreateModel(
            name="LedgerSpan",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "rows_from",
                    models.DateTimeField(help_text="Rows before this were dropped. Empty: none were.", null=True),
                ),
                (
                    "counted_from",
                    models.DateTimeField(
                        help_text="Roll-ups of days before this may lack rows, until a rebuild. Empty: none do.",
                        null=True,
                    ),
                ),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="ledger_span_is_one")],
            },
        ),
        migrations.RunPython(begin, migrations.RunPython.noop),
    ]
