"""Measuring a gateway from outside: load, stub server, statistics, report, verdict.

`only1mcp bench` (short.py) is the short run; the suites behind `make bench` stand in bench/ at
the top of the source tree and use the same parts.
"""
