"""The error tree: every error that the library raises on purpose.

::

    MargincastError
    ├── InputError (also ValueError)   one argument or field is wrong
    │   ├── UnknownSymbolError         the ruleset or the market does not know the instrument
    │   ├── UnknownAssetError          no price or no haircut for a collateral asset
    │   └── UnknownRulesetError        no ruleset of that name
    ├── MarketError                    the market data cannot carry the answer
    │   ├── StaleMarketError           the newest bar is older than the ruleset allows
    │   └── MissingMarketError         no bar at all where one is needed
    ├── ModelError                     a model bundle is missing or broken
    │   └── SchemaMismatchError        the bundle was trained on other columns
    ├── BusyError                      another process holds what only one may
    └── StoreError                     the database of the server cannot carry the answer
        ├── StoreUnavailableError      it does not answer now; the same may succeed later
        ├── StoreFullError             its disk is full; nothing of the transaction was kept
        └── StoreSchemaError           its tables are absent, older or newer

A message always names the field, the value that was received and what was expected.
Batch paths do not raise for one bad row: they return a `Failure` for it and go on.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BusyError",
    "Failure",
    "InputError",
    "MargincastError",
    "MarketError",
    "MissingMarketError",
    "ModelError",
    "SchemaMismatchError",
    "StaleMarketError",
    "StoreError",
    "StoreFullError",
    "StoreSchemaError",
    "StoreUnavailableError",
    "UnknownAssetError",
    "UnknownRulesetError",
    "UnknownSymbolError",
]


class MargincastError(Exception):
    """Base of every error that margincast raises on purpose."""

    code: str = "error"


class InputError(MargincastError, ValueError):
    """An argument or a field is wrong.

    Parameters
    ----------
    field : str
        Path of the field, for example ``"positions[0].symbol"``.
    value : object
        The value that was received.
    expected : str
        What was expected, or the remedy.

    Examples
    --------
    >>> print(InputError("quantity", float("nan"), "a finite number"))
    quantity: expected a finite number, was nan
    """

    code = "invalid_input"

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: expected {expected}, was {value!r}")

    def at(self, field: str) -> InputError:
        """Give the same error with another path of its field.

        Parameters
        ----------
        field : str
            The path from the outside, for example ``"positions[0].symbol"``.

        Returns
        -------
        InputError
            Of the same class.

        Examples
        --------
        >>> print(UnknownAssetError("asset", "WAT", "a stable coin").at("collateral[2].asset"))
        collateral[2].asset: expected a stable coin, was 'WAT'
        """
        return type(self)(field, self.value, self.expected)

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        return type(self), (self.field, self.value, self.expected)


class UnknownSymbolError(InputError):
    """The ruleset or the market does not know the instrument."""

    code = "unknown_symbol"


class UnknownAssetError(InputError):
    """There is no price or no haircut for a collateral asset."""

    code = "unknown_asset"


class UnknownRulesetError(InputError):
    """There is no ruleset of that name."""

    code = "unknown_ruleset"


class MarketError(MargincastError):
    """The market data cannot carry the answer."""

    code = "market"


class StaleMarketError(MarketError):
    """The newest bar is older than the ruleset allows."""

    code = "stale_market"


class MissingMarketError(MarketError):
    """There is no bar at all where one is needed."""

    code = "missing_market"


class ModelError(MargincastError):
    """A model bundle is missing or broken."""

    code = "model"


class SchemaMismatchError(ModelError):
    """The bundle was trained on other columns than the ones given."""

    code = "schema_mismatch"


class BusyError(MargincastError):
    """Another process holds what only one may; the same may succeed once it has ended."""

    code = "busy"


class StoreError(MargincastError):
    """The database of the server cannot carry the answer."""

    code = "store"


class StoreUnavailableError(StoreError):
    """The database does not answer now; the same may succeed later."""

    code = "store_unavailable"


class StoreFullError(StoreError):
    """The disk of the database is full; nothing of the transaction was kept."""

    code = "store_full"


class StoreSchemaError(StoreError):
    """The tables of the database are absent, older or newer than this version's."""

    code = "store_schema"


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of a batch that could not be computed, and why.

    Parameters
    ----------
    row : int
        Position of the row in its batch (line number for files), -1 where unknown.
    account_id : str
        The account, empty where it could not be read.
    code : str
        Machine-readable reason, the `code` of the error tree.
    field : str
        Path of the field that is wrong.
    message : str
        The reason in words.
    """

    row: int
    account_id: str
    code: str
    field: str
    message: str

    def error(self) -> MargincastError:
        """Give the reason as an error to raise.

        Returns
        -------
        MargincastError
            With the message, the code and the field of the failure.
        """
        found = MargincastError(self.message)
        found.code = self.code
        if self.field:
            found.field = self.field  # type: ignore[attr-defined]
        return found

    @classmethod
    def from_error(cls, error: MargincastError, row: int = -1, account_id: str = "") -> Failure:
        """Turn an error of the tree into a failure row.

        Parameters
        ----------
        error : MargincastError
            What went wrong.
        row : int
            Position of the row in its batch.
        account_id : str
            The account it happened to.

        Returns
        -------
        Failure
            The same reason as a value.

        Examples
        --------
        >>> Failure.from_error(InputError("quantity", 0.0, "not zero"), 3, "a").code
        'invalid_input'
        """
        return cls(row, account_id, error.code, getattr(error, "field", ""), str(error))
