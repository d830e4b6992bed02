"""`python -m only1mcp`."""

from only1mcp.cli.main import main

main()
