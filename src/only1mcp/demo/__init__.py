"""Three small MCP servers to play with. They import nothing of the gateway.

notes   stdio, handshake revisions        python -m only1mcp.demo.notes
clock   HTTP with sessions, 2025-11-25    python -m only1mcp.demo.clock
text    HTTP without state, 2026-07-28    python -m only1mcp.demo.text
"""
