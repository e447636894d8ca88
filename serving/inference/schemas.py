"""Messages of the Open Inference Protocol, version 2, as its REST specification names them.

References
----------
Open Inference Protocol, REST, github.com/kserve/open-inference-protocol,
specification/protocol/open_inference_rest.yaml, version 2.0.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

__all__ = [
    "InferenceRequest",
    "InferenceResponse",
    "ModelMetadata",
    "ModelReady",
    "RequestInput",
    "RequestOutput",
    "ServerHealth",
    "ServerMetadata",
    "Tensor",
    "TensorMetadata",
]

Parameters = dict[str, Any]


class RequestInput(Struct, frozen=True, kw_only=True):
    """A tensor of a request; ``data`` is flat or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: Parameters = {}


class RequestOutput(Struct, frozen=True, kw_only=True):
    """An output that is asked for."""

    name: str
    parameters: Parameters = {}


class InferenceRequest(Struct, frozen=True, kw_only=True):
    """Accounts to predict for: the input ``accounts`` of datatype BYTES, the JSON of one account an element."""

    inputs: list[RequestInput]
    id: str | UnsetType = UNSET
    parameters: Parameters = {}
    outputs: list[RequestOutput] = []


class Tensor(Struct, frozen=True, kw_only=True):
    """A tensor of an answer, flat in row-major order."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float | str | int]


class InferenceResponse(Struct, frozen=True, kw_only=True):
    """The outputs, one row an account; horizons are 60, 240, 1440 and 4320 minutes."""

    model_name: str
    model_version: str
    outputs: list[Tensor]
    id: str | UnsetType = UNSET


class TensorMetadata(Struct, frozen=True, kw_only=True):
    """Name, type and shape of a tensor; -1: any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct, frozen=True, kw_only=True):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(Struct, frozen=True, kw_only=True):
    """Whether a model can be asked."""

    name: str
    ready: bool


class ServerHealth(Struct, frozen=True, kw_only=True):
    """Whether the server lives, and can be asked."""

    live: bool
    ready: bool


class ServerMetadata(Struct, frozen=True, kw_only=True):
    """Name and version of the server, and the extensions of the protocol that it knows."""

    name: str
    version: str
    extensions: list[str]
