from __future__ import annotations

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "routing"

    def ready(self) -> None:
        from analytics.audit_following import follow
        from routing.models import Candidate, Layer, Policy

        follow(Layer, named="layer", target=lambda row: row.name)
        follow(Candidate, named="candidate", target=lambda row: f"{row.model} in {row.layer.name}")
        follow(Policy, named="policy")
