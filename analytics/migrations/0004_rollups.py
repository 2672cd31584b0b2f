"""The roll-ups. PostgreSQL gets a table with a partition for each grain; every other database a plain one."""

import django.db.models.deletion
from django.db import migrations, models

from analytics import partitions

GRAINS = {
    "minute": 10,
    "quarter": 20,
    "quarter_all": 21,
    "quarter_project": 22,
    "quarter_status": 25,
    "day": 30,
    "day_all": 31,
    "day_project": 32,
    "day_key": 33,
    "day_model": 34,
    "day_status": 35,
}
COUNTERS = [f"{of}_{number}" for of in ("latency", "first_token") for number in range(40)]


def create(apps, editor):
    rollup = apps.get_model("analytics", "UsageRollup")
    if editor.connection.vendor == "postgresql":
        partitions.create_listed(editor, rollup, by="grain", named=GRAINS)
    else:
        editor.create_model(rollup)


def drop(apps, editor):
    editor.delete_model(apps.get_model("analytics", "UsageRollup"))


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0003_triggers"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageSeries",
            fields=[
                (
                    "id",
                    models.BigIntegerField(
                        editable=False, help_text="Told by the other values.", primary_key=True, serialize=False
                    ),
                ),
                ("cut", models.PositiveSmallIntegerField()),
                ("kind", models.CharField(max_length=16)),
                ("status_class", models.CharField(blank=True, max_length=16)),
                ("error_kind", models.CharField(blank=True, max_length=64)),
                ("layer", models.CharField(blank=True, max_length=64)),
                ("project_id", models.BigIntegerField(null=True)),
                ("project", models.CharField(blank=True, max_length=64)),
                ("key_id", models.BigIntegerField(null=True)),
                ("key_name", models.CharField(blank=True, max_length=100)),
                ("provider", models.CharField(blank=True, max_length=64)),
                ("model", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "verbose_name_plural": "usage series",
                "indexes": [
                    models.Index(fields=["cut", "key_id"], name="series_cut_key"),
                    models.Index(fields=["cut", "project_id"], name="series_cut_project"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status_class__in", ["", "2xx", "4xx", "5xx", "broken", "cancelled", "interrupted"])
                        ),
                        name="series_status_known",
                    )
                ],
            },
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="UsageRollup",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "grain",
                                "start",
                                "series_id",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "grain",
                            models.PositiveSmallIntegerField(
                                choices=[
                                    (10, "minute"),
                                    (20, "quarter"),
                                    (21, "quarter_all"),
                                    (22, "quarter_project"),
                                    (25, "quarter_status"),
                                    (30, "day"),
                                    (31, "day_all"),
                                    (32, "day_project"),
                                    (33, "day_key"),
                                    (34, "day_model"),
                                    (35, "day_status"),
                                ]
                            ),
                        ),
                        ("start", models.DateTimeField()),
                        ("requests", models.BigIntegerField()),
                        ("answered", models.BigIntegerField(null=True)),
                        ("cancelled", models.BigIntegerField(help_text="The client left.", null=True)),
                        ("fell_back", models.BigIntegerField(null=True)),
                        ("attempts", models.BigIntegerField(null=True)),
                        ("input_tokens", models.BigIntegerField(null=True)),
                        ("cached_input_tokens", models.BigIntegerField(null=True)),
                        ("cache_write_5m_tokens", models.BigIntegerField(null=True)),
                        ("cache_write_1h_tokens", models.BigIntegerField(null=True)),
                        ("output_tokens", models.BigIntegerField(null=True)),
                        ("reasoning_tokens", models.BigIntegerField(null=True)),
                        ("web_searches", models.BigIntegerField(null=True)),
                        ("images", models.BigIntegerField(null=True)),
                        ("cost", models.BigIntegerField(help_text="In ten-billionths of a US dollar.", null=True)),
                        (
                            "budget",
                            models.BigIntegerField(
                                help_text="What budgets count, in ten-billionths of a US dollar.", null=True
                            ),
                        ),
                        *((column, models.IntegerField(null=True)) for column in COUNTERS),
                        (
                            "series",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="analytics.usageseries",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["series", "start"], name="rollup_series_start")],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("requests__gt", 0)), name="rollup_counts_something"
                            )
                        ],
                    },
                )
            ]
        ),
        migrations.RunPython(create, drop),
    ]
