"""Three small MCP servers to play with. They import nothing of the gateway."""
