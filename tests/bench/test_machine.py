"""What is written down of the machine."""

from only1mcp.bench.machine import environment, said_version


def test_it_says_all_that_may_explain_a_figure() -> None:
    about = environment("9.9")
    assert about["only1mcp"] == "9.9"
    assert about["cores"] >= 1
    assert about["processor"]
    assert set(about["pinned"]) == {"gateway", "load", "server"}


def test_a_program_that_is_not_there_has_no_version() -> None:
    assert said_version("no-such-program", "-v") is None
