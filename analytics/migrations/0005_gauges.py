"""Gauges of processes; and the append-only trigger of the audit trail that installations from before lack."""

from django.db import migrations, models

from providers import triggers


class Migration(migrations.Migration):
    dependencies = [("analytics", "0004_rollups")]

    operations = [
        migrations.CreateModel(
            name="ProcessGauges",
            fields=[
                (
                    "instance",
                    models.UUIDField(
                        editable=False, help_text="Made when the process began.", primary_key=True, serialize=False
                    ),
                ),
                ("role", models.CharField(help_text="Such as server or worker.", max_length=32)),
                ("host", models.CharField(max_length=255)),
                ("pid", models.PositiveIntegerField(verbose_name="process id")),
                ("started_at", models.DateTimeField()),
                ("at", models.DateTimeField(help_text="When it was read last.")),
                ("readings", models.JSONField(default=dict, help_text="By name; null where one could not be read.")),
            ],
            options={
                "verbose_name": "process",
                "verbose_name_plural": "processes",
                "ordering": ["role", "host", "pid"],
            },
        ),
        migrations.CreateModel(
            name="GaugeSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("instance", models.UUIDField()),
                ("role", models.CharField(max_length=32)),
                ("readings", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["at"],
                "indexes": [models.Index(fields=["at"], name="gauge_sample_at")],
            },
        ),
        # Never undone: 0003 undoes it with the rest.
        migrations.RunPython(triggers.append_only("analytics_auditentry").code, migrations.RunPython.noop),
    ]
