"""The live service: bars come in, every registered account is scored again, people and machines are told."""

__all__: list[str] = []
