"""Host, Origin and tokens: who gets in, who does not, and what they are told."""

import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.model import Auth, Listener
from only1mcp.policy.access import Access, Grant, Refusal, is_loopback, one_principal

TOKENS = {"tokens": ["alpha-secret", "beta-secret"]}
OPEN = {"host": "0.0.0.0", "auth": TOKENS}
NO_AUTH = {"host": "0.0.0.0", "auth": "none"}


def access(**settings: Any) -> Access:
    return Access(Listener(**settings))


def status(verdict: Grant | Refusal) -> int:
    return verdict.status if isinstance(verdict, Refusal) else 200


def ask(
    one: Access,
    host: str | None = "localhost",
    origin: str | None = None,
    token: str | None = None,
    path: str = "/mcp",
) -> Grant | Refusal:
    raw = [None if value is None else value.encode("latin-1") for value in (host, origin, token)]
    return one.check(raw[0], raw[1], raw[2], path)


# construction


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_auth(host: str) -> None:
    assert status(ask(access(host=host))) == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.9", "gateway.example"])
def test_off_loopback_without_auth_is_refused_and_says_what_to_do(host: str) -> None:
    with pytest.raises(ValueError, match=r"server\.auth\.tokens.*auth: none"):
        access(host=host)


def test_auth_none_must_be_said() -> None:
    assert status(ask(access(**NO_AUTH))) == 200


@pytest.mark.parametrize("origin", ["*", "null", "https://a:b", "https://a/", "https://a:99999"])
def test_an_allowed_origin_must_be_an_origin(origin: str) -> None:
    settings = Listener.model_construct(allowed_origins=(origin,))  # past the model's own check
    with pytest.raises(ValueError, match=r"server\.allowed_origins: .*not an origin such as"):
        Access(settings)


@pytest.mark.parametrize("host", ["*", "", "a:99999", "[1:2]", ".", "http://a"])
def test_an_allowed_host_must_be_a_host(host: str) -> None:
    settings = Listener.model_construct(allowed_hosts=(host,))
    with pytest.raises(ValueError, match=r"server\.allowed_hosts: .*not a host such as"):
        Access(settings)


# Host


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:65535", "127.1.2.3:80"),
        *("[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"),
    ],
)
def test_loopback_hosts_pass(host: str) -> None:
    assert status(ask(access(), host)) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io"),
        *("192.168.1.9", "[::2]", "0.0.0.0", "2130706433", "0x7f.1", "127.1", "xlocalhost"),
    ],
)
def test_foreign_hosts_are_misdirected(host: str) -> None:
    verdict = ask(access(), host)
    assert isinstance(verdict, Refusal)
    assert verdict.status == 421
    assert "server.allowed_hosts" in verdict.message


@pytest.mark.parametrize(
    "host",
    [
        *("", " ", "a b", "localhost/abc?x=", "localhost@evil", "http://localhost", "local\xe4"),
        *("localhost:", "localhost:x", "localhost:99999", "[::1", "::1", "[zz]", "."),
        *("localhost, evil", "localhost\t", "l" * 400),
    ],
)
def test_what_is_no_host_is_bad(host: str) -> None:
    assert status(ask(access(), host)) == 400


def test_no_host_comes_from_http_1_0_only_and_passes() -> None:
    assert status(ask(access(), None)) == 200


def test_configured_allowed_and_origin_hosts_pass() -> None:
    one = access(
        host="127.0.0.1",
        allowed_hosts=["Gateway.Example", "other.example:8443", "[fd00::1]"],
        allowed_origins=["https://app.example:444"],
    )
    for host in ("gateway.example:1", "other.example:8443", "[fd00:0::1]:9", "app.example"):
        assert status(ask(one, host)) == 200
    assert status(ask(one, "other.example:1")) == 421
    assert status(ask(access(host="gateway.example", auth="none"), "gateway.example:8080")) == 200


def test_with_tokens_off_loopback_any_host_passes_unless_hosts_are_named() -> None:
    token = "Bearer alpha-secret"
    assert status(ask(access(**OPEN), "any.example", token=token)) == 200
    guarded = access(**OPEN, allowed_hosts=["ours.example"])
    assert status(ask(guarded, "any.example", token=token)) == 421
    assert status(ask(guarded, "ours.example", token=token)) == 200
    assert status(ask(guarded, "localhost", token=token)) == 200


def test_without_auth_off_loopback_only_addresses_pass_for_rebinding_needs_a_name() -> None:
    one = access(**NO_AUTH, allowed_hosts=["ours.example"])
    for host in ("192.168.1.9:8080", "[fd00::1]", "localhost", "ours.example"):
        assert status(ask(one, host)) == 200
    assert status(ask(one, "evil.example")) == 421


# Origin


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost", "https://localhost:3000", "http://127.0.0.1:6274"),
        *("http://[::1]:1", "HTTP://LOCALHOST"),
    ],
)
def test_loopback_origins_pass_and_are_told_so(origin: str) -> None:
    verdict = ask(access(), origin=origin)
    assert isinstance(verdict, Grant)
    lines = verdict.cors.split(b"\r\n")
    assert b"Access-Control-Allow-Origin: " + origin.encode() in lines
    assert b"Vary: Origin" in lines
    assert b"Mcp-Session-Id" in verdict.cors


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "*", "http://evil.example", "http://localhost.evil.example"),
        *("http://localhost http://evil", "http://localhost, http://localhost"),
        *("http://localhost/", "ftp://localhost", "localhost", "http://localhost@evil.example"),
        *("file://", "http://l\xf6calhost", "http://a.example:1:2", "h" * 400),
    ],
)
def test_foreign_null_and_several_origins_are_forbidden(origin: str) -> None:
    verdict = ask(access(), origin=origin)
    assert isinstance(verdict, Refusal)
    assert verdict.status == 403
    assert b"Access-Control" not in verdict.headers


def test_no_origin_passes_without_cors_lines() -> None:
    assert ask(access()) == Grant("anonymous", b"")


def test_allowed_origins_are_compared_whole() -> None:
    one = access(allowed_origins=["https://App.Example", "vscode-webview://abc"])
    for origin in ("https://app.example", "https://app.example:443", "vscode-webview://abc"):
        assert status(ask(one, origin=origin)) == 200
    for origin in ("http://app.example", "https://app.example:444", "https://x.app.example"):
        assert status(ask(one, origin=origin)) == 403


def test_host_is_judged_before_origin_and_origin_before_token() -> None:
    one = access(auth=TOKENS)
    assert status(ask(one, "evil.example", "http://evil.example")) == 421
    assert status(ask(one, origin="http://evil.example")) == 403
    assert status(ask(one, origin="http://localhost")) == 401


# tokens


@pytest.mark.parametrize(
    ("header", "principal"),
    [
        ("Bearer alpha-secret", "token-1"),
        ("bearer beta-secret", "token-2"),
        ("BEARER  alpha-secret", "token-1"),
    ],
)
def test_a_known_token_names_its_principal(header: str, principal: str) -> None:
    one = access(auth=TOKENS)
    for _ in range(2):  # judged, then remembered
        assert ask(one, token=header) == Grant(principal, b"")


def test_without_a_token_the_challenge_is_bare() -> None:
    verdict = ask(access(auth=TOKENS))
    assert isinstance(verdict, Refusal)
    assert (verdict.status, verdict.headers) == (401, b"WWW-Authenticate: Bearer\r\n")


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer wrong", "Bearer alpha-secre", "Bearer alpha-secretx", "Bearer", "Bearer ", ""),
        *("Basic alpha-secret", "alpha-secret", "Bearer alpha-secret, Bearer beta-secret"),
        *("Bearer alpha-secret beta-secret", "Bearer ALPHA-SECRET", "Bearer alpha-secret\xff"),
    ],
)
def test_a_wrong_token_is_invalid_every_time(header: str) -> None:
    one = access(auth=TOKENS)
    for _ in range(2):
        verdict = ask(one, token=header)
        assert isinstance(verdict, Refusal)
        assert verdict.status == 401
        assert b'error="invalid_token"' in verdict.headers


def test_a_trusted_page_can_read_its_401() -> None:
    verdict = ask(access(auth=TOKENS), origin="http://localhost:3000")
    assert isinstance(verdict, Refusal)
    assert b"Access-Control-Allow-Origin: http://localhost:3000\r\n" in verdict.headers


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_probes_need_no_token_but_a_right_host_and_origin(path: str) -> None:
    one = access(auth=TOKENS)
    assert ask(one, path=path) == Grant("anonymous", b"")
    assert ask(one, token="Bearer wrong", path=path) == Grant("anonymous", b"")
    assert status(ask(one, "evil.example", path=path)) == 421
    assert status(ask(one, origin="null", path=path)) == 403
    assert status(ask(one, path="/mcp")) == 401  # the probe's verdict is not remembered for all


@pytest.mark.parametrize("path", ["/livez/", "/Livez", "/live%7a", "//livez", "/", "/metrics", ""])
def test_every_other_path_needs_a_token(path: str) -> None:
    assert status(ask(access(auth=TOKENS), path=path)) == 401


def test_every_token_is_compared_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest

    def counting(left: bytes, right: bytes) -> bool:
        compared.append(len(left) + len(right))
        return compare(left, right)

    monkeypatch.setattr("only1mcp.policy.access.hmac.compare_digest", counting)
    one = access(auth={"tokens": ["first", "second", "third"]})
    for header in ("Bearer first", "Bearer third", "Bearer no", "Bearer " + "x" * 5000):
        ask(one, token=header)
    assert compared == [64] * 12  # equal lengths too: digests, not tokens


def test_only_grants_are_remembered_and_not_without_bound() -> None:
    one = access(host="0.0.0.0", auth=TOKENS)
    for number in range(5000):
        ask(one, f"h{number}.example", token="Bearer alpha-secret")
        ask(one, f"h{number}.example", token=f"Bearer {number}")
    assert 0 < len(one._granted) <= 1024
    assert all(key[2] == b"Bearer alpha-secret" for key in one._granted)
    local = access()
    for number in range(50):
        ask(local, token=f"Bearer {number}" * 1000)
    assert len(local._granted) == 1  # where no token counts, none is kept


# CORS preflight


def test_preflight_names_methods_and_headers_never_a_star() -> None:
    verdict = access(auth=TOKENS).preflight(
        b"localhost", b"http://localhost:6274", b"authorization, MCP-Param-City ,x-evil\xff"
    )
    assert isinstance(verdict, Grant)
    text = verdict.cors.decode()
    assert "Access-Control-Allow-Origin: http://localhost:6274\r\n" in text
    assert "Access-Control-Allow-Methods: GET, POST, DELETE\r\n" in text
    for name in ("Authorization", "Mcp-Session-Id", "MCP-Protocol-Version", "mcp-param-city"):
        assert name in text
    assert "x-evil" not in text
    assert "*" not in text
    assert text.endswith("\r\n")


def test_preflight_of_a_foreign_page_or_host_is_refused() -> None:
    one = access()
    assert status(one.preflight(b"localhost", b"http://evil.example", None)) == 403
    assert status(one.preflight(b"evil.example", b"http://localhost", None)) == 421
    assert status(one.preflight(b"localhost", b"http://localhost", None)) == 200


# properties


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=60))
def test_any_bytes_get_a_verdict_that_is_safe_to_send(
    host: bytes, origin: bytes, token: bytes
) -> None:
    verdict = access(auth=TOKENS).check(host, origin, token, "/mcp")
    lines = verdict.headers if isinstance(verdict, Refusal) else verdict.cors
    assert not lines or lines.endswith(b"\r\n")
    assert all(b": " in line for line in lines.split(b"\r\n")[:-1])
    assert b"\n" not in lines.replace(b"\r\n", b"")


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=30))
def test_no_name_but_localhost_and_127_is_loopback(name: str) -> None:
    assert is_loopback(name) == (name == "localhost" or (name.startswith("127.") and _is_ip(name)))


def _is_ip(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 4 and all(
        part.isdigit() and int(part) < 256 and str(int(part)) == part for part in parts
    )


# other settings


def test_a_token_keeps_its_name_while_others_come_and_go() -> None:
    one = access(auth=TOKENS)
    assert one.principals == {"token-1", "token-2"}
    before = ask(one, token="Bearer beta-secret")
    one.prepare(Listener(auth=Auth.model_validate({"tokens": ["gamma", "beta-secret"]})))()
    assert ask(one, token="Bearer beta-secret") == before
    assert status(ask(one, token="Bearer alpha-secret")) == 401
    assert one.principals == {"token-2", "token-3"}, "no name is given to another"
    one.prepare(Listener.model_validate({"auth": TOKENS}))()
    assert one.principals == {"token-1", "token-2"}


def test_settings_that_cannot_be_used_change_nothing() -> None:
    one = access(**OPEN)
    with pytest.raises(ValueError, match=r"set server\.auth\.tokens"):
        one.prepare(Listener(host="0.0.0.0"))
    one.prepare(Listener(host="0.0.0.0", auth="none"))  # looked at, and not put in force
    assert status(ask(one)) == 401


def test_what_was_granted_is_looked_at_anew() -> None:
    one = access(allowed_origins=["https://app.example"])
    assert status(ask(one, origin="https://app.example")) == 200
    one.prepare(Listener())()
    assert status(ask(one, origin="https://app.example")) == 403


@pytest.mark.parametrize(
    ("auth", "alone"),
    [(None, True), ("none", False), ({"tokens": ["a" * 20]}, True), (TOKENS, False)],
)
def test_whether_all_clients_are_one(auth: Any, alone: bool) -> None:
    assert one_principal(Listener(auth=auth)) is alone
    admins = Listener.model_validate({"auth": auth, "admin_tokens": ["root-secret"]})
    assert one_principal(admins) is (auth is None)
