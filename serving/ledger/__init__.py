"""The ledger: every prediction that was said, chained so that no change of it goes unseen."""

from serving.ledger.append import Said, append

__all__ = ["Said", "append"]
