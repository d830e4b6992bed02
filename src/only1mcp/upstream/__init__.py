"""The server side: processes and HTTP endpoints that speak MCP to us."""
