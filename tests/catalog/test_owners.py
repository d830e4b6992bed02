"""owners.py: links are remembered, the stalest forgotten."""

from only1mcp.catalog.owners import MAX_LINK_LENGTH, MAX_LINKS, Owners


def test_the_latest_to_hand_out_a_link_owns_it() -> None:
    owners = Owners()
    owners.learn("a:1", "one")
    owners.learn("a:1", "two")
    assert owners.get("a:1") == "two"
    assert owners.get("a:2") is None


def test_the_least_used_link_makes_room() -> None:
    owners = Owners()
    for number in range(MAX_LINKS):
        owners.learn(f"a:{number}", "one")
    owners.get("a:0")
    owners.learn("a:new", "one")
    assert len(owners) == MAX_LINKS
    assert owners.get("a:0") == "one"
    assert owners.get("a:1") is None


def test_an_endless_link_is_not_kept() -> None:
    owners = Owners()
    owners.learn("a:" + "x" * MAX_LINK_LENGTH, "one")
    assert len(owners) == 0
