"""One endpoint in front of many MCP servers. Read `docs/life-of-a-request.md` first."""

__version__ = "0.1.0"
