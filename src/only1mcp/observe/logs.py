"""Log lines on stderr: for people on a terminal, JSON otherwise. stdout is never touched."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

ROOT: Final = "only1mcp"


class TextFormatter(logging.Formatter):
    """`12:00:01 warning only1mcp.servers: text`, one line each, and the traceback on debug."""

    def format(self, record: logging.LogRecord) -> str:
        """One line for people."""
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower()} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts (RFC 3339, UTC), level, logger, message, error."""

    def format(self, record: logging.LogRecord) -> str:
        """One line for machines."""
        fields = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def configure(level: str, format: str, stream: TextIO | None = None) -> None:
    """Send our log lines to `stream` (stderr). `format` is auto, text or json."""
    stream = stream or sys.stderr
    text = format == "text" or (format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger(ROOT)
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
