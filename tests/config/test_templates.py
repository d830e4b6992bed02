"""The templates load, warn of nothing but having no server, and so do their examples."""

import re
from pathlib import Path

import pytest
import trustme

from only1mcp.config.load import Loaded, load_text
from only1mcp.config.templates import NAMES, template


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """What the head of each template tells to set."""
    issued = trustme.CA().issue_cert("mcp.example")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    return {
        "ONLY1MCP_TLS_CERT": str(tmp_path / "cert.pem"),
        "ONLY1MCP_TLS_KEY": str(tmp_path / "key.pem"),
        "ONLY1MCP_HOST": "mcp.example",
        "ONLY1MCP_TOKEN": "t",
        "ONLY1MCP_TOKEN_AGENTS": "a",
        "ONLY1MCP_TOKEN_PEOPLE": "p",
        "SEARCH_TOKEN": "s",
        "CRM_TOKEN": "c",
        "PATH": "",
    }


def loaded(text: str, environ: dict[str, str]) -> Loaded:
    return load_text(text, "template", "yaml", environ)


@pytest.mark.parametrize("name", NAMES)
def test_every_template_loads(name: str, environ: dict[str, str]) -> None:
    (warning,) = loaded(template(name), environ).warnings
    assert warning.message == "no server is enabled, so clients will see no tools"


@pytest.mark.parametrize(("name", "servers"), [("solo", 3), ("team", 2), ("enterprise", 2)])
def test_every_example_in_a_template_loads(
    name: str, servers: int, environ: dict[str, str]
) -> None:
    """Take the comment signs away from what looks like YAML, as a reader would."""
    text = re.sub(r"^( *)# ( *(?:- )?[A-Za-z]+:(?: |$))", r"\1\2", template(name), flags=re.M)
    assert len(loaded(text, environ).config.servers) == servers


@pytest.mark.parametrize("name", NAMES)
def test_the_head_names_every_variable_that_is_needed(name: str) -> None:
    head, _, body = template(name).partition("\nserver:\n")
    in_force = "\n".join(line.partition("#")[0] for line in body.splitlines())
    for variable in re.findall(r"\$\{(\w+)\}", in_force):
        assert f"export {variable}=" in head


def test_solo_is_for_one_machine_and_team_for_many(environ: dict[str, str]) -> None:
    solo = loaded(template("solo"), {}).config.server
    team = loaded(template("team"), environ).config.server
    enterprise = loaded(template("enterprise"), environ).config
    assert (solo.host, solo.auth) == ("127.0.0.1", None)
    assert (team.host, team.tls) == ("0.0.0.0", None)
    assert team.auth is not None and team.auth != "none"
    assert enterprise.server.tls is not None
    assert enterprise.logging.format == "json"


def test_an_unknown_template_names_the_known() -> None:
    with pytest.raises(ValueError, match="there are solo, team, enterprise"):
        template("huge")
