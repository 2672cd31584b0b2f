"""simplejwt's refresh token, with a family and without its text in the database. `analytics.user_tokens` alone uses it.

simplejwt writes each refresh token into `OutstandingToken.token` as it is: whoever reads the table could use it. Here
stands the family's name instead: it says which tokens end together, and opens nothing.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import BlacklistMixin, RefreshToken
from rest_framework_simplejwt.utils import datetime_from_epoch

FAMILY = "family"


class FamilyToken(RefreshToken):
    """Changed are the three methods of `BlacklistMixin` that would write its text or refuse it before we know why."""

    @classmethod
    def for_user(cls, user: Any) -> FamilyToken:
        token: FamilyToken = super(BlacklistMixin, cls).for_user(user)  # the mixin's would write its text
        token[FAMILY] = uuid4().hex
        token.outstand()
        return token

    def outstand(self) -> OutstandingToken:
        return OutstandingToken.objects.create(
            user_id=int(self["user_id"]),
            jti=self["jti"],
            token=self[FAMILY],
            created_at=self.current_time,
            expires_at=datetime_from_epoch(self["exp"]),
        )

    def check_blacklist(self) -> None:
        """`spend` looks, within the transaction that writes."""

    def blacklist(self) -> BlacklistedToken:
        raise NotImplementedError("spend() or end_family()")

    def spend(self) -> bool:
        """Whether this is its first use: of two at once, one's."""
        row = OutstandingToken.objects.filter(jti=self["jti"]).first()
        return row is not None and BlacklistedToken.objects.get_or_create(token=row)[1]

    def is_spent(self) -> bool:
        return not self._family().filter(jti=self["jti"], blacklistedtoken__isnull=True).exists()

    def renew(self) -> None:
        """It becomes the next of its family."""
        self.set_jti()
        self.set_exp()
        self.set_iat()
        self.outstand()

    def end_family(self) -> int:
        """How many of its family worked until now."""
        living = list(self._family().filter(blacklistedtoken__isnull=True))
        BlacklistedToken.objects.bulk_create([BlacklistedToken(token=row) for row in living], ignore_conflicts=True)
        return len(living)

    def _family(self) -> Any:
        return OutstandingToken.objects.filter(user=int(self["user_id"]), token=self[FAMILY])
