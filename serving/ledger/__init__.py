"""The ledger: every prediction that was said, chained so that no change of it goes unseen."""

__all__: list[str] = []
