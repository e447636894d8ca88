"""The online API: predictions and recommendations over HTTP."""

__all__: list[str] = []
