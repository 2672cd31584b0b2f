"""Version triggers on every table the snapshot reads."""

from django.db import migrations

from providers import triggers


class Migration(migrations.Migration):
    dependencies = [("providers", "0001_initial")]

    operations = [
        triggers.watch(table, group="providers")
        for table in ("providers_provider", "providers_credential", "providers_model", "providers_price")
    ]
