"""The Starlette application behind every path that is not MCP: health now, admin later."""
