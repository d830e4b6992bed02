"""Which tests `make check` runs for a change."""

import pytest

from scripts.changed import ALWAYS, main, selected, unit_tests

UNIT = {"tests/relay", "tests/policy", "tests/test_readme.py"}


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("src/only1mcp/relay/call.py", "tests/relay/test_call.py"),
        ("src/only1mcp/gateway.py", "tests/test_gateway.py"),
        ("scripts/changed.py", "tests/scripts/test_changed.py"),
        ("tests/relay/test_call.py", "tests/relay/test_call.py"),
        ("tests/test_gateway.py", "tests/test_gateway.py"),
        ("README.md", "tests/test_readme.py"),
        ("docs/life-of-a-request.md", "tests/test_readme.py"),
        ("Makefile", "tests/test_readme.py"),
    ],
)
def test_a_change_runs_its_own_test(path: str, test: str) -> None:
    assert selected([path], UNIT) == ALWAYS | {test}


@pytest.mark.parametrize(
    "path", ["pyproject.toml", "requirements.lock", "tests/conftest.py", "tests/fakes/clock.py"]
)
def test_what_all_tests_rest_on_runs_all(path: str) -> None:
    assert selected([path], UNIT) == ALWAYS | UNIT


def test_without_git_all_run() -> None:
    assert selected(None, UNIT) == ALWAYS | UNIT


def test_slow_tests_are_left_out() -> None:
    assert selected(["tests/e2e/test_relay.py", "tests/peers/test_servers.py"], UNIT) == ALWAYS


def test_nothing_changed() -> None:
    assert selected([], UNIT) == ALWAYS


def test_unit_tests_are_the_quick_ones() -> None:
    found = unit_tests()
    assert found >= {"tests/test_layers.py", "tests/scripts"}
    assert not found & {"tests/e2e", "tests/peers", "tests/conformance"}


@pytest.mark.parametrize(
    ("path", "options"), [("pyproject.toml", ["-n", "3"]), ("README.md", [])], ids=["all", "few"]
)
def test_options_for_many_tests_are_left_out_for_few(
    path: str,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("scripts.changed.changed", lambda: [path])
    monkeypatch.setattr("sys.argv", ["changed", "-n", "3"])
    main()
    found = capsys.readouterr().out.split()
    assert [one for one in found if not one.startswith("tests/")] == options
