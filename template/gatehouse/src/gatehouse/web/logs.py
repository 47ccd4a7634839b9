"""Logs: one JSON object a line in `serve`, readable lines in `dev`; never a query string."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from gatehouse.throttling.origin import request_id

if TYPE_CHECKING:
    from starlette.types import Scope


class PlainFormatter(logging.Formatter):
    """Readable lines. PostgreSQL's DETAIL and CONTEXT repeat the values of a refused row."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging calls
        lines = super().formatException(ei).splitlines()
        return "\n".join(line for line in lines if not line.startswith(_VALUES))


_VALUES = ("DETAIL:", "CONTEXT:")


class JsonFormatter(PlainFormatter):
    """One JSON object a line. JSON escapes line ends, so no sent text can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


class _WithoutSecrets(logging.Filter):
    """Takes query strings off uvicorn's lines: clients put secrets there by mistake.

    At its debug levels uvicorn, and the websockets library through it, write whole headers and
    scopes: those lines are left out.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO and record.name != "uvicorn.access":
            return False
        args = record.args
        if isinstance(args, tuple) and any(type(a) is str and "?" in a for a in args):
            record.args = tuple([a.partition("?")[0] if type(a) is str else a for a in args])
        return True


_WITHOUT_SECRETS = _WithoutSecrets()


_SERVER = logging.getLogger("uvicorn.access")
# Ours, in place of the server's: `log_config` alone turns it on, or there would be two lines.
ACCESS = logging.getLogger("gatehouse.access")


def log_access(scope: "Scope", status: int) -> None:
    """The line of an answer: uvicorn's own in name and words, but it costs a third of that.

    Where an owner has added a handler, a filter or a record factory, a record goes their way.
    """
    if not (ACCESS.isEnabledFor(logging.INFO) and _SERVER.isEnabledFor(logging.INFO)):
        return
    client = scope.get("client")
    address = f"{client[0]}:{client[1]}" if client else ""
    words = (address, scope["method"], quote(scope["path"]), scope["http_version"], status)
    if (handler := _sole_handler()) is None:
        record = _SERVER.makeRecord(_SERVER.name, logging.INFO, __file__, 0, _LINE, words, None)
        if _SERVER.filter(record):
            ACCESS.handle(record)
            for added in _SERVER.handlers:  # the server has taken away what leads on from there
                added.handle(record)
        return
    now = time.time()
    handler.write_line(
        f'{{"time": "{_second(int(now))}.{int(now % 1 * 1000):03d}Z", "level": "info",'
        f' "logger": "{_SERVER.name}", "message": {json.dumps(_LINE % words)},'
        f' "request_id": {json.dumps(request_id.get())}}}\n'
    )


_LINE = '%s - "%s %s HTTP/%s" %d'


class JsonHandler(logging.StreamHandler[TextIO]):
    """Where the lines of `serve` go."""

    def write_line(self, line: str) -> None:
        """A line that is JSON already. A full disk or a reader that has gone stops no answer."""
        try:
            with self.lock or nullcontext():
                self.stream.write(line)
                self.flush()
        except Exception:  # as in every handler
            self.handleError(logging.makeLogRecord({"msg": line}))


def _sole_handler() -> JsonHandler | None:
    """Our own handler if a record would meet nothing else on its way there."""
    found = logging.root.handlers
    if (
        len(found) == 1
        and type(found[0]) is JsonHandler
        and type(found[0].formatter) is JsonFormatter
        and found[0].level <= logging.INFO
        and not (found[0].filters or ACCESS.filters)
        and not (ACCESS.handlers or _PARENT.handlers or _SERVER.handlers)
        and _SERVER.filters == _OURS
        and logging.getLogRecordFactory() is logging.LogRecord
    ):
        return found[0]
    return None


_PARENT = logging.getLogger("gatehouse")
_OURS = [_WITHOUT_SECRETS]


def quiet_server_log() -> None:
    """Whoever starts the server, its log holds no query string, no header and no token."""
    if ACCESS.level == logging.NOTSET:
        ACCESS.setLevel(logging.CRITICAL)
    for name in ("uvicorn.access", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).addFilter(_WITHOUT_SECRETS)


def take_handlers() -> None:
    """What an owner has put on the server's log of answers hears our lines from here on.

    The server takes away what is there when it starts, and writes to what comes later as well.
    """
    if ACCESS.isEnabledFor(logging.INFO):
        for handler in _SERVER.handlers[:]:
            _SERVER.removeHandler(handler)
            ACCESS.addHandler(handler)


@contextmanager
def audit_lines() -> Iterator[None]:
    """While a command runs, its security events on standard error: JSON unless a person reads."""
    readable = PlainFormatter("%(levelname)-8s %(message)s")
    logger = logging.getLogger("gatehouse.audit")
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with _written(logger, readable if sys.stderr.isatty() else JsonFormatter()):
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def start_lines() -> Iterator[None]:
    """Until the server configures the log: what `serve` says before, in the same form."""
    with _written(logging.getLogger(), JsonFormatter()):
        yield


@contextmanager
def _written(logger: logging.Logger, formatter: logging.Formatter) -> Iterator[None]:
    """What a logger says, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def log_config(*, readable: bool) -> dict[str, Any]:
    """The configuration for uvicorn and everything else that logs, on standard error."""
    formatters: dict[str, Any] = {
        "json": {"()": "gatehouse.web.logs.JsonFormatter"},
        "readable": {
            "()": "gatehouse.web.logs.PlainFormatter",
            "format": "%(levelname)-8s %(message)s",
        },
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {
            "default": {
                "class": (
                    "logging.StreamHandler" if readable else "gatehouse.web.logs.JsonHandler"
                ),
                "stream": "ext://sys.stderr",
                "formatter": "readable" if readable else "json",
            }
        },
        "root": {"handlers": ["default"], "level": "INFO"},
        "loggers": {
            "uvicorn": {"propagate": True},
            "uvicorn.access": {"propagate": True},
            "gatehouse.access": {"level": "INFO"},
            "alembic": {"level": "WARNING"},  # /readyz asks it for the database's version
        },
    }
