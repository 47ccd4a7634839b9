"""Logs: one JSON object a line in `serve`, readable lines in `dev`; never a query string."""

import json
import logging
import time
from typing import Any

from gatehouse.hardening import request_id


class JsonFormatter(logging.Formatter):
    """One JSON object a line. JSON escapes line ends, so no sent text can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class _WithoutQuery(logging.Filter):
    """Takes the query string off uvicorn's access lines: clients put secrets there by mistake."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, version, status = record.args
            record.args = (client, method, str(path).partition("?")[0], version, status)
        return True


_WITHOUT_QUERY = _WithoutQuery()


def quiet_access_log() -> None:
    """Whoever starts the server, its access log holds no query string."""
    logging.getLogger("uvicorn.access").addFilter(_WITHOUT_QUERY)


def log_config(*, readable: bool) -> dict[str, Any]:
    """The configuration for uvicorn and everything else that logs, on standard error."""
    formatters: dict[str, Any] = {
        "json": {"()": "gatehouse.logs.JsonFormatter"},
        "readable": {"format": "%(levelname)-8s %(message)s"},
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {
            "default": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "readable" if readable else "json",
            }
        },
        "root": {"handlers": ["default"], "level": "INFO"},
        "loggers": {
            "uvicorn": {"propagate": True},
            "uvicorn.access": {"propagate": True},
            "alembic": {"level": "WARNING"},  # /readyz asks it for the database's version
        },
    }
