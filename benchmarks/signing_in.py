"""Logins over HTTP, one or many at once. Each checks its answer, as the other clients do."""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlencode

from benchmarks.load import HOST, WAIT, AnswerError

Account = tuple[str, str]


def log_in(port: int, account: Account) -> str:
    """The access token of one login, on a connection of its own."""
    return get_tokens(port, account)["access_token"]


def get_tokens(port: int, account: Account) -> dict[str, str]:
    """The answer to one login."""
    connection = HTTPConnection(HOST, port, timeout=WAIT)
    form = {"grant_type": "password", "username": account[0], "password": account[1]}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", "/auth/token", urlencode(form), kind)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise AnswerError(answer.status, body[:200])
    tokens: dict[str, str] = json.loads(body)
    return tokens


def log_in_many(port: int, accounts: list[Account], logins: int, at_once: int) -> float:
    """Logins a second, with `at_once` of them under way."""
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        turns = itertools.islice(itertools.cycle(accounts), logins)
        list(threads.map(lambda account: log_in(port, account), turns))
    return logins / (time.perf_counter() - began)
