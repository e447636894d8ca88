"""From the tensors of a request to accounts, and from predictions to tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from models.typing import HORIZONS
from serving.decode import Accounts, decode_each
from serving.inference.schemas import InferenceRequest, InferenceResponse, Tensor, TensorMetadata
from serving.problems import ProblemError
from serving.schemas import AccountPrediction, PredictionResponse

__all__ = ["INPUTS", "NAME", "OUTPUTS", "accounts_of", "infer_request", "infer_response", "version_token"]

NAME: Final = "margincast"
"""How the protocol names what answers, whatever bundle it is."""
_INPUT: Final = "accounts"
_WIDE: Final = ("p_call", "p_liquidation", "prior")
INPUTS: Final = (TensorMetadata(name=_INPUT, datatype="BYTES", shape=[-1]),)
OUTPUTS: Final = (
    *(TensorMetadata(name=name, datatype="FP64", shape=[-1, len(HORIZONS)]) for name in _WIDE),
    TensorMetadata(name="horizon_minutes", datatype="INT64", shape=[len(HORIZONS)]),
    TensorMetadata(name="account_id", datatype="BYTES", shape=[-1]),
    TensorMetadata(name="state", datatype="BYTES", shape=[-1]),
    TensorMetadata(name="flags", datatype="BYTES", shape=[-1]),
)
_request = msgspec.json.Decoder(InferenceRequest)


def version_token(version: str) -> str:
    """How a path names a model version: without the registry's name before the slash.

    Parameters
    ----------
    version : str
        Of a model.

    Returns
    -------
    str
        Without a slash.

    Examples
    --------
    >>> version_token("margincast/3")
    '3'
    """
    return version.rsplit("/", 1)[-1]


def infer_request(body: bytes) -> InferenceRequest:
    """Read a request and check its outputs.

    Parameters
    ----------
    body : bytes
        JSON.

    Returns
    -------
    InferenceRequest
        The request.

    Raises
    ------
    ProblemError
        400 for what the protocol does not know.
    """
    try:
        found = _request.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _bad(str(error)) from None
    known = [output.name for output in OUTPUTS]
    for output in found.outputs:
        if output.name not in known:
            raise _bad(f"outputs: expected one of {', '.join(known)}, was {output.name!r}")
    return found


def accounts_of(request: InferenceRequest, max_accounts: int) -> Accounts:
    """Read the accounts of a request; the protocol has no room for some that are wrong.

    Parameters
    ----------
    request : InferenceRequest
        The request.
    max_accounts : int
        Most accounts allowed.

    Returns
    -------
    Accounts
        In order.

    Raises
    ------
    ProblemError
        400 with the first thing that is wrong, 413 for too many.
    """
    if [given.name for given in request.inputs] != [_INPUT]:
        raise _bad(f"inputs: expected one, named {_INPUT!r}, was {[given.name for given in request.inputs]}")
    given = request.inputs[0]
    if given.datatype != "BYTES":
        raise _bad(f"inputs[0].datatype: expected BYTES (the JSON of one account an element), was {given.datatype!r}")
    texts = list(_flat(given.data))
    if math.prod(given.shape) != len(texts) or any(side < 0 for side in given.shape):
        raise _bad(f"inputs[0].shape: expected the shape of {len(texts)} elements, was {given.shape}")
    found = decode_each([_raw(i, text) for i, text in enumerate(texts)], max_accounts)
    if found.failures:
        raise _bad(found.failures[0].message)
    return found


def infer_response(request: InferenceRequest, seen: PredictionResponse) -> InferenceResponse:
    """Put predictions into tensors.

    Parameters
    ----------
    request : InferenceRequest
        Names the outputs; all of them where it names none.
    seen : PredictionResponse
        The predictions.

    Returns
    -------
    InferenceResponse
        The outputs in the order in which they were asked for.

    Raises
    ------
    ProblemError
        400 with the first account that could not be computed.
    """
    if seen.failures:
        raise _bad(seen.failures[0].message)
    asked = [output.name for output in request.outputs] or [output.name for output in OUTPUTS]
    tensors = [_tensor(name, seen.predictions) for name in asked]
    version = version_token(seen.model_version)
    return InferenceResponse(model_name=NAME, model_version=version, outputs=tensors, id=request.id)


def _tensor(name: str, rows: list[AccountPrediction]) -> Tensor:
    kind = next(output for output in OUTPUTS if output.name == name)
    data: list[Any]
    if name in _WIDE:
        data = [getattr(line, name) for row in rows for line in row.rows]
    elif name == "horizon_minutes":
        data = list(HORIZONS)
    elif name == "flags":
        data = [",".join(row.flags) for row in rows]
    else:
        data = [getattr(row, name) for row in rows]
    shape = [len(rows) if side < 0 else side for side in kind.shape]
    return Tensor(name=name, shape=shape, datatype=kind.datatype, data=data)


def _flat(data: Iterable[Any]) -> Iterator[Any]:
    for item in data:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _raw(i: int, text: Any) -> msgspec.Raw:
    if not isinstance(text, str):
        raise _bad(f"inputs[0].data[{i}]: expected the JSON of an account as text, was {type(text).__name__}")
    return msgspec.Raw(text.encode("utf-8", "replace"))


def _bad(detail: str) -> ProblemError:
    return ProblemError(400, "invalid_input", detail)
