"""What a refresh costs the server: CPU time of its process, one after the other."""

import json
from http.client import HTTPConnection
from statistics import median
from urllib.parse import urlencode

from benchmarks.load import HOST, WAIT, AnswerError
from benchmarks.plan import Plan
from benchmarks.report import Row, figure
from benchmarks.service import Service
from benchmarks.signing_in import get_tokens

MOST = 2.0  # ms
EACH = 100  # refreshes of a round


def measure(service: Service, plan: Plan) -> list[Row]:
    costs = []
    with service.serve() as server:
        token = get_tokens(server.port, service.accounts[0])["refresh_token"]
        connection = HTTPConnection(HOST, server.port, timeout=WAIT)
        for _ in range(plan.turns):
            before = server.cpu_seconds() or 0.0
            token = _refresh(connection, token, EACH)
            costs.append(((server.cpu_seconds() or 0.0) - before) / EACH * 1000)
        connection.close()
    cost = median(costs)
    if cost == 0:  # where there is no /proc
        return []
    ours = figure(cost, "ms")
    return [Row("refresh, CPU time", "", ours, None, f"≤ {MOST:.0f} ms", cost <= MOST)]


def _refresh(connection: HTTPConnection, token: str, times: int) -> str:
    """The refresh token at the end of a chain of so many."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(times):
        form = {"grant_type": "refresh_token", "refresh_token": token}
        connection.request("POST", "/auth/token", urlencode(form), kind)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise AnswerError(answer.status, body[:200])
        token = json.loads(body)["refresh_token"]
    return token
