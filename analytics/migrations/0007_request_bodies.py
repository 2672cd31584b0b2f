"""Bodies of requests, for projects that have them kept. The triggers again: SQLite rebuilt the table they were on."""

import django.core.validators
from django.db import migrations, models

import analytics.body_models
from providers import triggers


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0006_ledger_span"),
    ]

    operations = [
        migrations.CreateModel(
            name="RequestBody",
            fields=[
                ("id", models.UUIDField(editable=False, help_text="The request's.", primary_key=True, serialize=False)),
                ("at", models.DateTimeField(help_text="When the request began.")),
                ("request", models.TextField(help_text="JSON: what was asked, by field.")),
                ("answer", models.TextField(blank=True, help_text="What was said; empty where nobody answered.")),
                ("request_is_cut", models.BooleanField(default=False)),
                ("answer_is_cut", models.BooleanField(default=False)),
            ],
            options={
                "verbose_name_plural": "request bodies",
            },
        ),
        migrations.AddField(
            model_name="project",
            name="bodies_days",
            field=models.BigIntegerField(
                default=7,
                help_text="From 1 to 90, the day they came in counted.",
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(90)],
                verbose_name="days bodies are kept",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="stores_bodies",
            field=models.BooleanField(
                default=False,
                help_text="Keep what is asked and answered, masked, for the project's operators and admins to read.",
                verbose_name="store bodies",
            ),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.CheckConstraint(
                condition=models.Q(("bodies_days__gte", 1), ("bodies_days__lte", 90)), name="project_bodies_days"
            ),
        ),
        migrations.AddField(
            model_name="requestbody",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=analytics.body_models.with_its_project,
                related_name="+",
                to="analytics.project",
            ),
        ),
        migrations.AddIndex(
            model_name="requestbody",
            index=models.Index(fields=["project", "at"], name="request_body_age"),
        ),
        triggers.watch("analytics_project", group="keys"),
    ]
