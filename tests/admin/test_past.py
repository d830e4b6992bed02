"""What has happened is told at once, and how far back it goes."""

from pathlib import Path

from fakes.admin import SECRET, TEXT, office
from only1mcp.admin.past import Past, past
from only1mcp.observe import logs
from only1mcp.observe.events import Events


def test_all_kinds_in_their_order() -> None:
    events = Events("b", {"restart": 5, "breaker": 5})
    events.tell("restart", 1.0, {"server": "a"})
    events.tell("breaker", 2.0, {"server": "b"})
    events.tell("restart", 3.0, {"server": "c"})
    found = Past.model_validate(past(events, ["restart", "breaker"]))
    assert [(one.id, one.kind, one.said["server"]) for one in found.events] == [
        ("b-1", "restart", "a"),
        ("b-2", "breaker", "b"),
        ("b-3", "restart", "c"),
    ]
    assert found.events[0].said["at"] == "1970-01-01T00:00:01.000+00:00"
    assert [one.complete for one in found.memory] == [True, True]


def test_what_was_forgotten_is_admitted() -> None:
    events = Events("b", {"restart": 2, "breaker": 2})
    for number in range(3):
        events.tell("restart", float(number), {})
    found = Past.model_validate(past(events, ["restart", "breaker"]))
    assert [(one.kind, one.events, one.complete) for one in found.memory] == [
        ("restart", 2, False),
        ("breaker", 0, True),
    ]


async def test_over_http(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        logs.hide([SECRET])
        desk.gateway.events.tell("log", 1.0, {"message": f"the key {SECRET}"})
        await desk.send("POST", "/servers/two/disable")
        found = (await desk.get("/events/past?kinds=reload,log")).json()
        kinds = {row["kind"]: row["said"] for row in found["events"]}
        assert kinds["reload"]["changed"] == "changed two"
        assert "the key ***" in [row["said"].get("message") for row in found["events"]]
        assert {row["kind"] for row in found["memory"]} == {"reload", "log"}
        wrong = await desk.get("/events/past?kinds=moon")
        assert (wrong.status_code, wrong.json()["place"]) == (400, "kinds")


async def test_the_file_is_checked_and_nothing_changes(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        nothing = {"file": str(desk.file), "faults": [], "restart": []}
        assert (await desk.get("/config/check")).json() == nothing
        desk.file.write_text(TEXT + "metrics: {enabled: false}\n")
        found = (await desk.get("/config/check")).json()
        assert (found["faults"], found["restart"]) == ([], ["metrics"])
        desk.file.write_text(TEXT + "nonsense: 1\n")
        (fault,) = (await desk.get("/config/check")).json()["faults"]
        assert (fault["where"], fault["severity"]) == ("nonsense", "error")
        assert (await desk.get("/health")).json()["status"] == "ok"
