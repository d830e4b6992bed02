"""Every fault of the model in plain words, at its place, without secrets."""

from collections.abc import Callable

import pytest

from only1mcp.config.load import ConfigError, Loaded, load_text

Load = Callable[..., Loaded]
Complain = Callable[..., list[str]]


def in_server(text: str) -> str:
    return f"servers:\n  - id: a\n    {text}\n"


def http(text: str) -> str:
    return in_server(f"transport: {{type: http, url: http://h/, {text}}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "server:\n  port: 99999\n",
            "f:2:9: port: expected a whole number between 1 and 65535, got 99999",
        ),
        (
            "server: {port: 0}",
            "f:1:16: port: expected a whole number between 1 and 65535, got 0",
        ),
        ("server: {port: 1.5}", "got 1.5"),
        ("server: {port: true}", "f:1:16: port: expected a whole number, got true"),
        ("server: {port: [1]}", "got a list"),
        ("server: {port: {}}", "got a block"),
        ("server: {prt: 1}", "f:1:10: unknown key 'prt'; did you mean 'port'?"),
        ("server: {host: a b}", "expected an IP address or a host name, got 'a b'"),
        ("server: {host: 127.0.0.1.5}", "expected an IP address or a host name"),
        ("server: {max_connections: 9}", "a whole number between 10 and 100000, got 9"),
        ("server: {tls: {cert: ''}}", "cert: expected a file name, got ''"),
        ("server: {drain_timeout: 2h}", "expected a duration from 0s up to 1h, such as 30s"),
        ("server: {allowed_hosts: ['http://h']}", "allowed_hosts[0]: expected a host name such"),
        ("server: {allowed_hosts: ['h:70000']}", "allowed_hosts[0]: "),
        ("server: {allowed_origins: '*'}", "expected a list, got '*'; put it in [ ]"),
        ("server: {allowed_origins: ['*']}", "allowed_origins[0]: expected an origin such as"),
        ("server: {auth: {}}", "f:1:10: key 'tokens' is missing; give it a list of tokens"),
        ("server: {auth: {tokens: []}}", "f:1:25: tokens: expected a list of tokens"),
        ("server: 5", "f:1:9: server: expected a block of keys"),
        ("logging: {level: warn}", "got 'warn'; did you mean 'warning'?"),
        ("naming: {separator: '%'}", "separator: expected 1 to 8 letters, digits, _ or -, got '%'"),
        ("servers: [7]", "f:1:11: servers[0]: expected a block of keys"),
        ("servers: [{id: A_b}]", "id: expected 1 to 32 lower case letters, digits and hyphens"),
        ("servers: [{id: ''}]", "id: expected 1 to 32 lower case letters"),
        ("servers: [{id: a}]", "f:1:11: key 'transport' is missing"),
        (in_server("transport: http"), "write transport: {type: http, url: ...} or {type: stdio"),
        (in_server("transport: {url: http://h}"), "f:3:5: key 'type' is missing; write type: std"),
        (
            in_server("transport: {type: ssh, url: http://h}"),
            "f:3:23: type: expected stdio, http or sse, got 'ssh'; did you mean 'sse'?",
        ),
        (in_server("transport: {type: stdio, command: ''}"), "command: expected a program, got ''"),
        (in_server("transport: {type: stdio, command: sh, args: [1]}"), "put it in quotes"),
        (in_server("transport: {type: stdio, command: sh, args: ['\\0']}"), None),
        (in_server('transport: {type: stdio, command: sh, args: ["\\0"]}'), "without NUL"),
        (in_server("transport: {type: http, url: http://}"), "url: expected an http or https URL"),
        (in_server("transport: {type: http, url: 'http://h:99999/'}"), "url: expected an http"),
        (in_server("transport: {type: http, url: 'http://h/#x'}"), "url: expected an http"),
        (http("headers: {Host: x}"), "headers.Host: the gateway sets this header itself"),
        (http("headers: {'a b': x}"), "headers.a b: expected a header name"),
        (http('headers: {A: "x\\ny"}'), "headers.A: expected one line of at most"),
        (http("headers: {A: 1}"), "headers.A: expected text; put it in quotes"),
        (http("env: {}"), "unknown key 'env'; only a program (type: stdio) has it"),
        (http("") + "    tools: {allow: ['']}", "allow[0]: expected a shell pattern, got ''"),
        (http("") + "    tools: {rename: {a: 'b c'}}", "rename.a: expected 1 to 128 letters"),
        (http("") + "    timeouts: {start: 0}", "expected a duration above 0s up to 1h"),
        (http("") + "    timeouts: {start: 5x}", "expected a duration such as 500ms, 30s, 5m"),
        (http("") + "    timeouts: {start: .inf}", "expected a duration such as 500ms, 30s, 5m"),
        (http("") + "    timeouts: {start: .nan}", "expected a duration such as 500ms, 30s, 5m"),
        (http("") + "    protocol: new", "expected auto, legacy or modern, got 'new'"),
        ("- a\n- b\n", "f:1:1: expected a block of keys such as server and servers"),
        ("5", "f:1:1: expected a block of keys such as server and servers"),
    ],
)
def test_words(complaints: Complain, text: str, said: str | None) -> None:
    found = complaints(text)
    if said is None:
        assert found == []
    else:
        assert any(said in fault for fault in found), found


@pytest.mark.parametrize(
    ("format", "text", "said"),
    [
        ("json", '{"server": {\n\t"port": 99999}}', "f:2:10: port: expected"),
        ("toml", "[server]\nport = 99999", "f:2:8: port: expected"),
        ("toml", '[[servers]]\nid = "a"\nweight = 1', "f:3:1: unknown key 'weight'"),
        ("toml", '[[servers]]\n[[servers]]\nid = "a"', "f:2:1: key 'transport' is missing"),
    ],
)
def test_places_in_other_formats(complaints: Complain, format: str, text: str, said: str) -> None:
    assert any(fault.startswith(said) for fault in complaints(text, format=format))


def test_the_key_path_is_part_of_the_fault() -> None:
    text = "servers:\n  - {id: a, transport: {type: http, url: x, z: 1}}\n  - {id: b}\n"
    with pytest.raises(ConfigError) as caught:
        load_text(text, "f", "yaml", {})
    assert [fault.where for fault in caught.value.faults] == [
        "servers[0].transport.url",
        "servers[0].transport.z",
        "servers[1].transport",
    ]


def test_all_faults_come_at_once(complaints: Complain) -> None:
    text = """\
server: {port: 99999, prt: 1, host: 0.0.0.0}
servers:
  - {id: a, transport: {type: http, url: "${UNSET}"}}
  - {id: a, transport: {type: stdio}}
logging: {level: loud}
"""
    assert [fault.split(": ")[0] for fault in complaints(text)] == [
        "f:1:16",
        "f:1:23",
        "f:1:37",
        "f:3:42",
        "f:4:10",
        "f:4:13",
        "f:5:18",
    ]


def test_a_value_that_could_not_be_expanded_is_reported_once(complaints: Complain) -> None:
    assert len(complaints("server: {port: '${UNSET}', host: '${UNSET}'}")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "server: {auth: s3cret}",
        "server: {auth: {tokens: s3cret}}",
        "server: {auth: {tokens: ['s3cret x']}}",
        "server: {auth: {token: s3cret}}",
        "server: {port: '${VAR}'}",
        "server: {host: '${VAR} x'}",
        "naming: {mode: '${VAR}'}",
        "servers: [{id: '${VAR}', transport: {type: '${VAR}', url: x}}]",
        "servers: [{id: a, transport: {type: http, url: 'http://u:s3cret@h:99999/'}}]",
        "servers: [{id: a, transport: {type: http, url: 'ftp://h/?token=s3cret'}}]",
        "servers: [{id: a, transport: {type: http, url: 'http://h', headers: {A: \"s3cret\\n\"}}}]",
        "servers: [{id: a, transport: {type: http, url: 'http://h', headers: s3cret}}]",
        "servers: [{id: a, transport: {type: stdio, command: sh, env: [s3cret]}}]",
    ],
)
def test_secrets_are_not_repeated(complaints: Complain, text: str) -> None:
    found = complaints(text, {"VAR": "S3cret"})
    assert found
    assert "s3cret" not in "\n".join(found).lower()


def test_long_values_are_cut(complaints: Complain) -> None:
    assert len(complaints(f"naming: {{mode: {'x' * 500}}}")[0]) < 200
