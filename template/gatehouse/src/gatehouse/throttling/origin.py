"""The id of the request that is being answered, for every log line and audit row."""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")
