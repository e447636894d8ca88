"""Signed webhooks: where they may lead, how they are signed, and how they are tried again."""

from serving.live.webhooks.deliver import Deliverer
from serving.live.webhooks.signing import new_secret, signed_headers
from serving.live.webhooks.targets import Targets

__all__ = ["Deliverer", "Targets", "new_secret", "signed_headers"]
