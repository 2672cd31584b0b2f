"""The ledger. PostgreSQL gets a table partitioned by month; every other database a plain one."""

from decimal import Decimal

from django.db import migrations, models

from analytics import partitions


def create(apps, editor):
    record = apps.get_model("analytics", "UsageRecord")
    if editor.connection.vendor == "postgresql":
        partitions.create_parent(editor, record)
    else:
        editor.create_model(record)


def drop(apps, editor):
    editor.delete_model(apps.get_model("analytics", "UsageRecord"))


class Migration(migrations.Migration):
    dependencies = [("analytics", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="UsageRecord",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                editable=False, help_text="The request id, a UUIDv7.", primary_key=True, serialize=False
                            ),
                        ),
                        ("started_at", models.DateTimeField(help_text="Derived from the id.")),
                        (
                            "kind",
                            models.CharField(
                                choices=[
                                    ("chat", "Chat"),
                                    ("embeddings", "Embeddings"),
                                    ("tool", "Tool"),
                                    ("probe", "Probe"),
                                ],
                                default="chat",
                                max_length=16,
                            ),
                        ),
                        (
                            "outcome",
                            models.CharField(
                                choices=[
                                    ("ok", "Ok"),
                                    ("error", "Error"),
                                    ("cancelled", "Cancelled by the client"),
                                    ("interrupted", "The gateway stopped or was killed"),
                                ],
                                max_length=16,
                            ),
                        ),
                        (
                            "status",
                            models.PositiveSmallIntegerField(
                                help_text="HTTP status the client got; 499: it left, 503: the gateway stopped, 0: its process died."
                            ),
                        ),
                        ("project_id", models.BigIntegerField()),
                        ("project", models.CharField(max_length=64)),
                        ("key_id", models.BigIntegerField(null=True)),
                        ("key_name", models.CharField(max_length=100)),
                        ("requested_model", models.CharField(max_length=200)),
                        ("provider", models.CharField(blank=True, max_length=64)),
                        ("model_id", models.BigIntegerField(null=True)),
                        ("model", models.CharField(blank=True, max_length=200)),
                        ("layer", models.CharField(blank=True, max_length=64)),
                        ("is_stream", models.BooleanField(default=False)),
                        ("session", models.CharField(blank=True, max_length=200)),
                        ("score", models.FloatField(null=True)),
                        ("attempts", models.PositiveSmallIntegerField(default=0)),
                        (
                            "fell_back",
                            models.BooleanField(
                                default=False, help_text="Answered by another than the first model tried."
                            ),
                        ),
                        (
                            "decision",
                            models.JSONField(
                                default=dict, help_text="What the plan was made from, and the plan, for back-tests."
                            ),
                        ),
                        ("trail", models.JSONField(default=list, help_text="What the attempts did, in order.")),
                        ("input_tokens", models.BigIntegerField(default=0)),
                        ("cached_input_tokens", models.BigIntegerField(default=0)),
                        ("cache_write_5m_tokens", models.BigIntegerField(default=0)),
                        ("cache_write_1h_tokens", models.BigIntegerField(default=0)),
                        ("output_tokens", models.BigIntegerField(default=0)),
                        ("reasoning_tokens", models.BigIntegerField(default=0, help_text="Part of the output tokens.")),
                        ("web_searches", models.PositiveIntegerField(default=0)),
                        ("images", models.PositiveIntegerField(default=0)),
                        ("cost_usd", models.DecimalField(decimal_places=10, max_digits=20)),
                        (
                            "cost_source",
                            models.CharField(
                                choices=[
                                    ("provider", "Reported by the provider"),
                                    ("price", "Usage at our price"),
                                    ("counted", "Tokens counted by us at our price"),
                                    ("estimate", "Estimated"),
                                    ("none", "Nothing was consumed"),
                                ],
                                max_length=16,
                            ),
                        ),
                        (
                            "budget_usd",
                            models.DecimalField(
                                decimal_places=10,
                                default=Decimal("0"),
                                help_text="What budgets count: the cost, the higher figure where disputed, the cap where nobody knows.",
                                max_digits=20,
                            ),
                        ),
                        (
                            "computed_cost_usd",
                            models.DecimalField(
                                decimal_places=10, help_text="Usage at our price.", max_digits=20, null=True
                            ),
                        ),
                        (
                            "reported_cost_usd",
                            models.DecimalField(
                                decimal_places=10, help_text="What the provider said.", max_digits=20, null=True
                            ),
                        ),
                        (
                            "is_disputed",
                            models.BooleanField(
                                default=False, help_text="Reported at less than half of what we compute."
                            ),
                        ),
                        (
                            "is_capped",
                            models.BooleanField(
                                default=False, help_text="Ended at the length its budget had left for it."
                            ),
                        ),
                        (
                            "prices",
                            models.JSONField(default=dict, help_text="USD per unit that the computed cost used."),
                        ),
                        ("duration_ms", models.FloatField()),
                        ("first_token_ms", models.FloatField(null=True)),
                        ("finish_reason", models.CharField(blank=True, max_length=64)),
                        ("error_kind", models.CharField(blank=True, max_length=64)),
                        ("error_message", models.CharField(blank=True, max_length=500)),
                    ],
                    options={
                        "ordering": ["-started_at", "-id"],
                        "indexes": [
                            models.Index(fields=["started_at"], name="usage_started"),
                            models.Index(fields=["project_id", "started_at"], name="usage_project_started"),
                            models.Index(fields=["key_id", "started_at"], name="usage_key_started"),
                        ],
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(("budget_usd__gte", 0), ("cost_usd__gte", 0)),
                                name="usage_cost_not_negative",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("cache_write_1h_tokens__gte", 0),
                                    ("cache_write_5m_tokens__gte", 0),
                                    ("cached_input_tokens__gte", 0),
                                    ("input_tokens__gte", 0),
                                    ("output_tokens__gte", 0),
                                    ("reasoning_tokens__gte", 0),
                                ),
                                name="usage_tokens_not_negative",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("outcome__in", ["ok", "error", "cancelled", "interrupted"])),
                                name="usage_outcome_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("cost_source__in", ["provider", "price", "counted", "estimate", "none"])
                                ),
                                name="usage_cost_source_known",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(("kind__in", ["chat", "embeddings", "tool", "probe"])),
                                name="usage_kind_known",
                            ),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunPython(create, drop),
    ]
