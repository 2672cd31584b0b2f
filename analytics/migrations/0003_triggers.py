"""Version triggers on what the snapshot reads, the append-only audit trail, and the project everybody starts with."""

from django.db import migrations

from providers import triggers


def create_default_project(apps, editor):
    apps.get_model("analytics", "Project").objects.get_or_create(slug="default", defaults={"name": "Default"})


class Migration(migrations.Migration):
    dependencies = [("analytics", "0002_usage_record"), ("providers", "0001_initial")]

    operations = [
        triggers.watch("analytics_project", group="keys"),
        triggers.watch("analytics_apikey", group="keys", by_row=True),
        triggers.watch("analytics_budget", group="budgets"),
        triggers.append_only("analytics_auditentry"),
        migrations.RunPython(create_default_project, migrations.RunPython.noop),
    ]
