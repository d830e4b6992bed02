"""A tool that asks the user for words in mid-call, the way of 2026-07-28.

The first call is answered with a question (`resultType` "input_required"); the client puts it
to its user and calls again, with the user's words and the state we gave it.
Source  MCP 2026-07-28 basic/patterns/mrtr.
"""

import random
from typing import Final

from only1mcp.demo import rpc
from only1mcp.demo.rpc import INVALID_PARAMS, Fault, Json, told

MISSING_CAPABILITY: Final = -32021
STORIES: Final = {
    "moon": "A {adjective} {animal} flew to the moon, found {food} there and never came back.",
    "train": "On the last train sat a {adjective} {animal}, eating {food}. Nobody dared to ask.",
}
WORDS: Final = ("adjective", "animal", "food")
FORM: Final = {
    "type": "object",
    "properties": {word: {"type": "string"} for word in WORDS},
    "required": list(WORDS),
}
TOOL: Final = {
    "name": "tell_story",
    "title": "Tell a story",
    "description": "Ask the user for three words and tell a very short story with them.",
    "inputSchema": rpc.schema([]),
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}


def tell(params: Json, capabilities: Json) -> Json:
    """The question, or the story once the words are there.

    The state names the story already chosen, so that any process can take the retry. It comes
    back from the client, who may send anything: it is looked up, never trusted.
    """
    chosen = params.get("requestState", random.choice(list(STORIES)))
    responses = params.get("inputResponses", {})
    response = responses.get("words", {}) if isinstance(responses, dict) else None
    if not isinstance(chosen, str) or chosen not in STORIES or not isinstance(response, dict):
        raise Fault(INVALID_PARAMS, "requestState or inputResponses do not fit our question")
    if response.get("action") in ("decline", "cancel"):
        return told("No words, no story.")
    words = response.get("content")
    if isinstance(words, dict) and all(isinstance(words.get(word), str) for word in WORDS):
        return told(STORIES[chosen].format_map(words))
    return _question(chosen, capabilities)


def _question(chosen: str, capabilities: Json) -> Json:
    if not _can_show_forms(capabilities):
        need: Json = {"requiredCapabilities": {"elicitation": {"form": {}}}}
        raise Fault(MISSING_CAPABILITY, "tell_story asks the user, which takes elicitation", need)
    params = {"mode": "form", "message": "Three words, please.", "requestedSchema": FORM}
    return {
        "resultType": "input_required",
        "inputRequests": {"words": {"method": "elicitation/create", "params": params}},
        "requestState": chosen,
    }


def _can_show_forms(capabilities: Json) -> bool:
    """Whether the client declared forms, or elicitation alone, which stands for forms."""
    declared = capabilities.get("elicitation")
    return isinstance(declared, dict) and (not declared or "form" in declared)
