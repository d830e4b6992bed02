"""Rules between keys, and between the file and the machine."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from only1mcp.config.load import ConfigError, Loaded, load_text

Load = Callable[..., Loaded]
Complain = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a certificate, its key, the key of another, and a program."""
    authority = trustme.CA()
    for name in ("one", "two"):
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    program = tmp_path / "bin" / "tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


def tls(folder: Path, cert: str, key: str) -> list[str]:
    text = f"server: {{tls: {{cert: {cert}, key: {key}}}}}"
    try:
        load_text(text, "f", "yaml", {"HOME": str(folder)}, base=folder)
    except ConfigError as error:
        return [str(fault) for fault in error.faults if fault.severity == "error"]
    return []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "'::1'", "'[::1]'", "localhost"])
def test_loopback_needs_no_auth(complaints: Complain, host: str) -> None:
    assert complaints(f"server: {{host: {host}}}") == []


@pytest.mark.parametrize("host", ["0.0.0.0", "'::'", "10.1.2.3", "gateway.example"])
def test_other_hosts_need_auth(complaints: Complain, warnings: Complain, host: str) -> None:
    (said,) = complaints(f"server: {{host: {host}}}")
    assert said.startswith("f:1:16: other machines can reach host ")
    assert said.endswith("or server.auth: none to let all in")
    assert complaints(f"server: {{host: {host}, auth: null}}") == [said]
    assert complaints(f"server: {{host: {host}, auth: {{tokens: ['${{A}}']}}}}", {"A": "x"}) == []
    assert "anybody who can reach" in warnings(f"server: {{host: {host}, auth: none}}")[0]


def test_the_auth_rule_sees_overrides(complaints: Complain) -> None:
    assert complaints("", overrides={"server.host": "0.0.0.0"})[0].startswith("option server.host:")


def test_tls_files_are_tried(folder: Path) -> None:
    assert tls(folder, "one.pem", "one.key") == []
    assert tls(folder, "~/one.pem", str(folder / "one.key")) == []


def test_tls_files_that_do_not_serve(folder: Path) -> None:
    assert len(tls(folder, "no.pem", "no.key")) == 2
    assert "No such file or directory" in tls(folder, "no.pem", "one.key")[0]
    assert "cannot read" in tls(folder, "bin", "one.key")[0]
    assert "do not load as a certificate and its key" in tls(folder, "one.pem", "two.key")[0]
    assert "do not load as a certificate and its key" in tls(folder, "bin/tool", "one.key")[0]


def test_an_encrypted_key_is_refused_and_nobody_is_asked(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization as forms

    key = forms.load_pem_private_key((folder / "one.key").read_bytes(), None)
    locked = key.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.BestAvailableEncryption(b"pass")
    )
    (folder / "locked.key").write_bytes(locked)
    assert "without a passphrase" in tls(folder, "one.pem", "locked.key")[0]


def test_ids_are_unique(complaints: Complain) -> None:
    text = "servers:\n" + "  - {id: a, transport: {type: http, url: http://h}}\n" * 3
    assert complaints(text) == [
        "f:3:10: server id 'a' is taken; the first is at f:2:10",
        "f:4:10: server id 'a' is taken; the first is at f:2:10",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "servers: []",
        "servers: [{id: a, enabled: false, transport: {type: http, url: http://h}}]",
        "servers: [{id: a, enabled: 'no', transport: {type: http, url: http://h}}]",
    ],
)
def test_no_server_is_a_warning(read: Load, text: str) -> None:
    (said,) = read(text).warnings
    assert said.message == "no server is enabled, so clients will see no tools"


def tools(text: str) -> str:
    return f"servers: [{{id: a, transport: {{type: http, url: http://h}}, tools: {text}}}]"


def test_two_tools_cannot_get_one_name(complaints: Complain) -> None:
    (said,) = complaints(tools("{rename: {a: x, b: y, c: x}}"))
    assert "'c' would be renamed to 'x', as 'a' is; give each tool a name of its own" in said


def test_tools_may_swap_names(complaints: Complain) -> None:
    assert complaints(tools("{rename: {a: b, b: a}}")) == []


@pytest.mark.parametrize("text", ["{allow: []}", "{deny: ['*']}"])
def test_a_server_that_offers_nothing_is_doubted(warnings: Complain, text: str) -> None:
    assert "no tool of this server is offered" in warnings(tools(text))[0]


def program(text: str, folder: Path, **environ: str) -> list[str]:
    text = f"servers: [{{id: a, transport: {{type: stdio, {text}}}}}]"
    loaded = load_text(text, "f", "yaml", environ, base=folder)
    return [str(fault) for fault in loaded.warnings]


def test_a_program_is_looked_up_where_the_child_would(folder: Path) -> None:
    path = str(folder / "bin")
    assert program("command: tool", folder, PATH=path) == []
    assert program(f"command: tool, env: {{PATH: {path}}}", folder, PATH="") == []
    assert program(f"command: {path}/tool", folder, PATH="") == []
    assert program("command: ./tool, cwd: bin", folder, PATH="") == []
    assert "program 'tool' is not found" in program("command: tool", folder, PATH="")[0]
    assert "not found" in program(f"command: tool, env: {{PATH: {folder}}}", folder, PATH=path)[0]
    assert "not found" in program("command: ./tool, cwd: .", folder, PATH=path)[0]


def test_a_command_line_is_no_program(folder: Path) -> None:
    (said,) = program("command: tool -x", folder, PATH=str(folder / "bin"))
    assert said.endswith("command is the program alone; put the rest into args")


def test_a_disabled_program_may_be_absent(warnings: Complain) -> None:
    text = "{id: a, enabled: false, transport: {type: stdio, command: no-such-program}}"
    assert warnings(f"servers: [{text}]") == []


@pytest.mark.parametrize("cwd", ["nowhere", "x" * 5000])
def test_a_missing_folder_is_doubted(folder: Path, cwd: str) -> None:
    said = program(f"command: tool, cwd: {cwd}", folder, PATH=str(folder / "bin"))
    assert "does not exist" in said[0]


def test_folders_start_at_the_file(folder: Path) -> None:
    text = "servers: [{id: a, transport: {type: stdio, command: sh, cwd: bin}}]"
    transport = (
        load_text(text, "f", "yaml", {}, base=folder).config.servers[0].instances[0].transport
    )
    assert transport.type == "stdio"
    assert transport.cwd == str(folder / "bin")


def test_secrets_in_the_file_are_doubted_and_not_repeated(warnings: Complain) -> None:
    text = """\
server: {auth: {tokens: [s3cret, "${A}", "${B:-x}"]}}
servers:
  - {id: a, transport: {type: http, url: http://h, headers: {X-Api-Key: s3cret, X-Team: red}}}
  - {id: b, transport: {type: stdio, command: sh, env: {GH_TOKEN: s3cret, B: 'x', C_KEY: ''}}}
"""
    said = warnings(text, {"A": "a"})
    assert said == [
        "f:1:26: warning: a token: a secret stands in the file;"
        " put it into the environment and write ${ONLY1MCP_TOKEN}",
        "f:3:73: warning: X-Api-Key: a secret stands in the file;"
        " put it into the environment and write ${X_API_KEY}",
        "f:4:67: warning: GH_TOKEN: a secret stands in the file;"
        " put it into the environment and write ${GH_TOKEN}",
    ]


def test_secrets_on_command_lines_are_doubted_too(warnings: Complain) -> None:
    text = """\
servers: [{id: a, transport: {type: stdio, command: sh, args: [
  --api-key, s3cret, "Authorization: Bearer s3cret", "--token=${A}",
  -e, GH_TOKEN=s3cret, -e, LEVEL=info, GH_TOKEN, --key, "${A}", "TOKEN=", "7" ]}}]
"""
    said = warnings(text, {"A": "a"})
    told = "a secret stands in the file; put it into the environment and write"
    assert said[:3] == [
        f"f:2:14: warning: api-key: {told} ${{API_KEY}}",
        f"f:2:22: warning: Authorization: {told} ${{AUTHORIZATION}}",
        f"f:3:7: warning: GH_TOKEN: {told} ${{GH_TOKEN}}",
    ]
    assert not any(told in line for line in said[3:])


def test_tokens_are_known_by_their_form_whatever_they_are_called(warnings: Complain) -> None:
    github, other, key = "ghp_0123456789abcdef", "sk-proj-0123456789abcdef", "AKIA0123456789ABCDEF"
    text = f"""\
servers:
  - {{id: a, transport: {{type: http, url: http://h, headers: {{X-Foo: Bearer {github}}}}}}}
  - id: b
    transport: {{type: stdio, command: sh, env: {{T: {other}, U: sk-y, V: skip-this}}, args: [
      {key}, N={github}, sk-y ]}}
"""
    said = [line for line in warnings(text, {}) if "a secret stands in the file" in line]
    assert [line.split(": ")[0::2][:2] for line in said] == [
        ["f:2:69", "X-Foo"],
        ["f:4:52", "T"],
        ["f:5:7", "a token"],
        ["f:5:29", "N"],
    ]
    assert not any(one in line for line in said for one in (github, other, key))


def test_a_token_that_opens_more_than_its_list_says_is_doubted(warnings: Complain) -> None:
    text = (
        "server:\n"
        "  auth: {tokens: ['${A}', '${B}']}\n"
        "  admin_tokens: ['${C}', '${A}']\n"
        "  metrics_tokens: ['${M}', '${B}', '${C}']\n"
    )
    said = warnings(text, {"A": "a", "B": "b", "C": "c", "M": "m"})
    same, own = "warning: the same token is one of", "give each list tokens of its own"
    runs = "server.admin_tokens: whoever has it may change what the gateway runs"
    assert [line for line in said if same in line] == [
        f"f:2:19: {same} {runs}; {own}",
        f"f:4:28: {same} server.auth.tokens: whoever has it may use all servers; {own}",
        f"f:4:36: {same} {runs}; {own}",
    ]


def test_secrets_from_outside_the_file_are_fine(warnings: Complain) -> None:
    assert warnings("", {"ONLY1MCP_SERVER__AUTH__TOKENS": '["s3cret"]'}) == []


def test_the_older_transport_has_no_modern_revision(complaints: Complain) -> None:
    entry = "servers: [{id: a, protocol: %s, transport: {type: sse, url: 'http://h'}}]"
    (said,) = complaints(entry % "modern")
    assert said.startswith("f:1:29: transport type sse knows no modern revision; leave protocol")
    assert complaints(entry % "auto") == complaints(entry % "legacy") == []
