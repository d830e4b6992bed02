"""What log lines must not hold."""

from base64 import b64encode

from only1mcp.config.load import load_text
from only1mcp.config.secrets import secrets

CONFIG = r"""
server:
  auth: {tokens: [token-of-ann, "t0k/en+"]}
servers:
  - id: child
    transport:
      type: stdio
      command: npx
      args: [-y, server, --api-key, argument-secret, "https://u:pass-word@h/?token=query-secret"]
      env:
        API_KEY: 'va"lue\'
        MODE: debug
        PIN: "12345678"
        KEY: "line one 1\nline two 2"
        TOKEN: abc
  - id: search
    transport:
      type: http
      url: http://me:pass-of-url@127.0.0.1:9001/mcp
      headers: {Authorization: "Bearer bearer-secret", Accept-Language: en}
"""


def test_every_secret_in_every_form() -> None:
    found = secrets(load_text(CONFIG, "c.yaml", "yaml", {}).config)
    for plain in (
        *("token-of-ann", "t0k/en+", "argument-secret", "pass-word", "query-secret"),
        *('va"lue\\', "12345678", "line one 1", "line two 2", "pass-of-url"),
        *("bearer-secret", "Bearer bearer-secret"),
    ):
        assert plain in found
    assert {"t0k%2Fen%2B", 'va\\"lue\\\\', "line one 1\\nline two 2"} <= found
    assert b64encode(b"t0k/en+").decode() in found


def test_words_are_no_secrets() -> None:
    found = secrets(load_text(CONFIG, "c.yaml", "yaml", {}).config)
    assert found.isdisjoint({"debug", "abc", "en", "npx", "server", "-y", "child", "127.0.0.1", ""})
