"""Version triggers on every table the snapshot reads."""

from django.db import migrations

from providers import triggers


class Migration(migrations.Migration):
    dependencies = [("routing", "0001_initial"), ("providers", "0002_triggers")]

    operations = [
        triggers.watch(table, group="routing") for table in ("routing_layer", "routing_candidate", "routing_policy")
    ]
