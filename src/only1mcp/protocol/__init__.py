"""Pure MCP: messages, methods, errors, eras, names. No I/O, no clock, no policy."""
