"""The probe finds everything at the stub itself, and says what another has lost."""

import json
from typing import Any

from bench.peers.probe import QUESTIONS, fidelity
from bench.peers.server import ProbeStub


def ask(stub: ProbeStub, method: str, params: dict[str, Any]) -> bytes:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return stub.answer(json.dumps(body).encode()) or b""


def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": tool, "arguments": arguments}


def test_nothing_is_lost_without_a_gateway() -> None:
    stub = ProbeStub("legacy", 1, 1)
    found = fidelity(lambda method, params: ask(stub, method, params), str, call)
    assert [question for question, arrived in found.items() if not arrived] == []
    assert set(found) == set(QUESTIONS)


def test_what_a_gateway_changes_is_named() -> None:
    stub = ProbeStub("legacy", 1, 1)

    def lossy(method: str, params: dict[str, Any]) -> bytes:
        params = {key: value for key, value in params.items() if key != "_meta"}
        message = json.loads(ask(stub, method, params))  # numbers are read, and written anew
        message.get("result", {}).pop("_meta", None)
        if "error" in message:
            message["error"] = {"code": -32603, "message": "failed"}
        return b"data: " + json.dumps(message).encode()

    lost = {question for question, arrived in fidelity(lossy, str, call).items() if not arrived}
    assert lost == {
        "`_meta` of the result",
        "spelling of 1.50",
        "`_meta` of the request arrives",
        "code of an error",
        "data of an error",
    }


def test_no_answer_is_no_crash() -> None:
    found = fidelity(lambda method, params: b"", str, call)
    assert not any(found.values())
