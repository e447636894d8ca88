"""The Open Inference Protocol, version 2: every message fits the published schema, every figure is that of /v1.

The schemas below state what open_inference_rest.yaml (version 2.0, github.com/kserve/open-inference-protocol) requires:
which members there must be and of which types.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from models.typing import HORIZONS
from tests.serving.client import Client

TEXT, LIST = {"type": "string"}, {"type": "array"}
SHAPE = LIST | {"items": {"type": "integer"}}
DATA = LIST | {"items": {"type": ["number", "string", "boolean"]}}
DATATYPES = {
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
}


def members(required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties, "required": required.split()}


TENSOR = members("name datatype shape", name=TEXT, datatype=TEXT, shape=SHAPE)
SERVER = members("name version extensions", name=TEXT, version=TEXT, extensions=LIST | {"items": TEXT})
MODEL = members(
    "name platform", name=TEXT, versions=LIST | {"items": TEXT}, platform=TEXT,
    inputs=LIST | {"items": TENSOR}, outputs=LIST | {"items": TENSOR},
)  # fmt: skip
OUTPUT = members("name shape datatype data", name=TEXT, shape=SHAPE, datatype=TEXT, data=DATA)
RESPONSE = members("model_name outputs", model_name=TEXT, model_version=TEXT, id=TEXT, outputs=LIST | {"items": OUTPUT})
ERROR = members("error", error=TEXT)
INFER = "/v2/models/margincast/infer"


def request(*accounts: Any, **more: Any) -> dict[str, Any]:
    """Return a request for accounts."""
    texts = [json.dumps(a) for a in accounts]
    tensor = {"name": "accounts", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    return {"inputs": [tensor | more.pop("tensor", {})]} | more


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
def test_health(client: Client, path: str) -> None:
    assert client.get(path).json() == {"live": True, "ready": True}


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_names_itself(client: Client, path: str) -> None:
    body = client.get(path, follow_redirects=True).json()
    jsonschema_rs.validate(SERVER, body)
    assert body["name"] == "margincast"


@pytest.mark.parametrize("path", ["/v2/models/margincast", "/v2/models/margincast/versions/prior"])
def test_the_model_describes_itself(client: Client, path: str) -> None:
    body = client.get(path).json()
    jsonschema_rs.validate(MODEL, body)
    assert body["versions"] == ["prior"]
    assert {t["datatype"] for t in body["inputs"] + body["outputs"]} <= DATATYPES
    assert client.get(f"{path}/ready").json() == {"name": "margincast", "ready": True}


@pytest.mark.parametrize("path", [INFER, "/v2/models/margincast/versions/prior/infer"])
def test_tensors_hold_what_v1_answers(client: Client, request_json: dict[str, Any], path: str) -> None:
    calm = {"account_id": "calm", "positions": [], "collateral": [{"asset": "USDT", "quantity": 1.0}]}
    accounts = [request_json, request_json | calm, request_json | {"account_id": "c"}]
    answer = client.post(path, request(*accounts, id="42"))
    assert answer.status_code == 200
    body = answer.json()
    jsonschema_rs.validate(RESPONSE, body)
    assert (body["id"], body["model_name"], body["model_version"]) == ("42", "margincast", "prior")
    described = client.get("/v2/models/margincast").json()["outputs"]
    assert [(o["name"], o["datatype"]) for o in body["outputs"]] == [(o["name"], o["datatype"]) for o in described]
    found = {o["name"]: np.array(o["data"]).reshape(o["shape"]) for o in body["outputs"]}
    expected = client.post("/v1/predictions", {"accounts": accounts}).json()["predictions"]
    for name in ("p_call", "p_liquidation", "prior"):
        assert found[name].tolist() == [[row[name] for row in a["rows"]] for a in expected]
    assert found["horizon_minutes"].tolist() == list(HORIZONS)
    for name in ("account_id", "state"):
        assert found[name].tolist() == [a[name] for a in expected]
    assert found["flags"].tolist() == [",".join(a["flags"]) for a in expected]


def test_only_the_outputs_that_are_asked_for_in_their_order(client: Client, request_json: dict[str, Any]) -> None:
    body = client.post(INFER, request(request_json, outputs=[{"name": "state"}, {"name": "p_call"}])).json()
    assert [o["name"] for o in body["outputs"]] == ["state", "p_call"]
    assert "id" not in body


def test_data_may_be_nested_as_its_shape(client: Client, request_json: dict[str, Any]) -> None:
    text = json.dumps(request_json)
    nested = {"shape": [2, 1], "data": [[text], [text]]}
    body = client.post(INFER, request(tensor=nested)).json()
    assert body["outputs"][0]["shape"] == [2, 4]


@pytest.mark.parametrize(("tensor", "status", "words"), [
    ({"name": "input-0"}, 400, "named 'accounts'"),
    ({"datatype": "FP32"}, 400, "expected BYTES"),
    ({"shape": [2]}, 400, "shape of 1 elements"),
    ({"shape": [-1, -1]}, 400, "shape of 1 elements"),
    ({"data": [7]}, 400, "as text, was int"),
    ({"data": ["{"]}, 400, "accounts[0]"),
    ({"data": ['{}, {"account_id": "x"}']}, 400, "accounts[0]"),
    ({"data": 7}, 400, "data"),
    ({"shape": [501], "data": ["{}"] * 501}, 413, "at most 500"),
])  # fmt: skip
def test_what_is_wrong_is_said_as_the_protocol_says(
    client: Client, request_json: dict[str, Any], tensor: dict[str, Any], status: int, words: str
) -> None:
    answer = client.post(INFER, request(request_json, tensor=tensor))
    assert answer.status_code == status
    jsonschema_rs.validate(ERROR, answer.json())
    assert words in answer.json()["error"]


def test_an_account_that_is_wrong_and_an_output_that_is_not_there(client: Client, request_json: dict[str, Any]) -> None:
    wrong = request_json | {"ruleset": "none"}
    for body, words in (
        (request(request_json, wrong), "ruleset"),
        (request(request_json, outputs=[{"name": "q"}]), "outputs: expected one of"),
        ({"inputs": []}, "inputs"),
        (b"[", "object"),
        (b"{", "truncated"),
    ):
        answer = client.post(INFER, body)
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["error"]


@pytest.mark.parametrize("path", [
    "/v2/models/other", "/v2/models/other/ready", "/v2/models/margincast/versions/7",
    "/v2/models/margincast/versions/7/ready", "/v2/nothing",
])  # fmt: skip
def test_what_is_not_there_is_said_as_the_protocol_says(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    jsonschema_rs.validate(ERROR, answer.json())


def test_other_models_infer_nothing(client: Client, request_json: dict[str, Any]) -> None:
    for path in ("/v2/models/other/infer", "/v2/models/margincast/versions/7/infer"):
        answer = client.post(path, request(request_json))
        assert answer.status_code == 404
        assert "'margincast', version 'prior'" in answer.json()["error"]
