"""Logging in, refreshing, logging out, and the use of what was got by it."""

import json
from base64 import urlsafe_b64decode
from typing import Any
from uuid import UUID

from httpx2 import Response
from hypothesis import strategies as st

from model.comparing import count_events
from model.expected import (
    GRACE,
    MOST_FAILURES,
    NOTEWORTHY_FAILURES,
    ROLES,
    Access,
    Account,
    Login,
    Refresh,
)
from model.walk import WRONG, Walk, emails, networks, rarely, verb
from model.world import HOME

# Mostly none is asked for; the last of these is not a user's.
scopes = st.sampled_from(("", "", "", "notes:read", "notes:read users:write", "users:write"))


class Logins(Walk):
    """Verbs of whoever has a password or a token."""

    @verb(
        5,
        email=emails,
        password=st.sampled_from(("right", "right", "right", "wrong", "another's")),
        scope=scopes,
        network=networks,
        cut=rarely,
    )
    def log_in(self, email: str, password: str, scope: str, network: str, cut: bool) -> None:
        account = self.expected.of(email)
        if account is None and not self.draw(rarely, "unknown"):
            account = self._somebody()
            email = account.email
        right = account.password if account else WRONG
        others = self.expected.accounts[-1].password
        text = {"right": right, "wrong": WRONG, "another's": others}[password]
        self.try_password(email, text, scope, network, cut)

    @verb(1, email=emails, network=networks, times=st.sampled_from((3, 11)), tested=st.booleans())
    def guess(self, email: str, network: str, times: int, tested: bool) -> None:
        """Several guesses. `tested`: one is right, and asks for scopes that a user's role lacks."""
        account = self.expected.of(email)
        for number in range(times):
            if number == 2 and tested and account is not None:
                self.try_password(email, account.password, "users:write", network)
            else:
                self.try_password(email, WRONG, "", network)

    @verb(1, email=emails)
    def guess_from_everywhere(self, email: str) -> None:
        """More guesses in a row than an account takes; then its owner, from home and abroad."""
        account = self.expected.of(email)
        everywhere = [f"192.0.2.{number}" for number in range(1, 4)]
        for network in everywhere[:2]:
            for _ in range(MOST_FAILURES // 2 + 1):
                self.try_password(email, WRONG, "", network)
        if account is not None:
            self.try_password(email, account.password, "", everywhere[2])
            self.try_password(email, account.password)

    def try_password(
        self, email: str, password: str, scope: str = "", network: str = HOME, cut: bool = False
    ) -> None:
        expected, account = self.expected, self.expected.of(email)
        form = {"grant_type": "password", "username": email, "password": password, "scope": scope}
        answer = self.world.call("POST", "/auth/token", data=form, network=network, cut=cut)
        now = self.world.now
        if expected.guesses.are_too_many(email, network, now):
            return self.judge(answer, 429, cut=cut, what="login")
        granted = _narrowed(ROLES[account.role], scope) if account else frozenset[str]()
        opens = expected.opens(account, password, network) and bool(account and account.verified)
        if account is None or not opens or not granted:
            self.fail(email, network)
            return self.judge(answer, 400, cut=cut, what="login")
        self.judge(answer, 200, cut=cut, what="login")
        expected.guesses.right(email, network)
        if account.failures >= NOTEWORTHY_FAILURES:
            self.must_hear(email, "login_after_failures")
        account.failures, account.known[network] = 0, now
        expected.events["login"] += 1
        login = Login(account, account.events, granted, now, now)
        first = Refresh(login, None)
        expected.logins.append(login)
        expected.refresh.append(first)
        self._keep(answer, login, first, granted)
        return None

    def _keep(self, answer: Response, login: Login, token: Refresh, held: frozenset[str]) -> None:
        """What an answer of the token endpoint gives, if it arrived."""
        if answer.status_code != 200:
            return
        given = answer.json()
        claims = _claims(given["access_token"])
        assert frozenset(given["scope"].split()) == held
        assert frozenset(claims["scope"].split()) == held
        assert claims["sub"] == str(login.account.id)
        assert token.token in (None, given["refresh_token"]), "the chain of a session has forked"
        token.token, login.id = given["refresh_token"], UUID(claims["sid"])
        self.expected.access.append(Access(login, given["access_token"], held, claims["exp"]))

    def _somebody(self) -> Account:
        found: Account = self.draw(st.sampled_from(list(self.expected.living())), "account")
        return found

    def some_access(self, scope: str = "") -> Access:
        """A token of somebody who is logged in or, rarely, of somebody who was."""
        held = [one for one in self.expected.access if scope in ("", *one.scopes)]
        if self.is_void(held):
            account = self._somebody()
            self.try_password(account.email, account.password)
        anyone = not held or self.draw(rarely, "anyone")
        return self.pick(self.expected.access if anyone else held, "token")

    @verb(5, older=st.booleans(), scope=scopes, network=networks, cut=rarely)
    def refresh(self, older: bool, scope: str, network: str, cut: bool) -> None:
        known = [token for token in self.expected.refresh if token.token]
        retired = [token for token in known if token.retired and token.is_good(self.world.now)]
        among = retired if older and retired else known
        self.exchange(self.pick(among, "token"), scope, network, cut)

    @verb(1, first=networks, second=networks)
    def refresh_by_two(self, first: str, second: str) -> None:
        """Two hold a token: one uses what it is exchanged for as well, the other comes after."""
        login = self.some_access().login
        token = next(one for one in self.expected.refresh if one.login is login)
        while token.successor is not None and token.successor.token:
            token = token.successor
        if token.token:
            self.exchange(token, network=first)
            if token.successor is not None and token.successor.token:
                self.exchange(token.successor, network=first)
            self.exchange(token, network=second)

    def exchange(
        self, token: Refresh, scope: str = "", network: str = HOME, cut: bool = False
    ) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": token.token or "", "scope": scope}
        answer = self.world.call("POST", "/auth/token", data=form, network=network, cut=cut)
        expected, login, now = self.expected, token.login, self.world.now
        if not login.is_good(now):
            return self.judge(answer, 400, what="refresh, void")
        if token.retired is not None:
            unused = token.successor is not None and token.successor.retired is None
            if not unused or now - token.retired >= GRACE:
                login.ended = True
                expected.events["refresh_reuse"] += 1
                return self.judge(answer, 400, cut=cut, what="refresh, reuse")
        granted = _narrowed(login.scopes, scope)
        if not granted:
            expected.events["refresh_refused"] += 1
            return self.judge(answer, 400, cut=cut, what="refresh, nothing left")
        self.judge(answer, 200, cut=cut, what="refresh")
        expected.events["refresh"] += 1
        if token.successor is None:
            token.retired, token.successor, login.used = now, Refresh(login, None), now
            expected.refresh.append(token.successor)
        self._keep(answer, login, token.successor, granted)
        return None

    @verb(1, cut=rarely)
    def revoke(self, cut: bool) -> None:
        known = [token for token in self.expected.refresh if token.token]
        tokens: list[Access | Refresh] = [*self.expected.access, *known]
        token = self.pick(tokens, "token")
        answer = self.world.call("POST", "/auth/revoke", data={"token": token.token}, cut=cut)
        self.judge(answer, 200, cut=cut)
        readable = isinstance(token, Refresh) or self.world.now < token.expires
        if readable and not token.login.ended:
            over = not token.login.is_good(self.world.now)
            self.expected.events["logout"] += self._of_one_over("logout") if over else 1
            token.login.ended = True

    def _of_one_over(self, name: str) -> int:
        """1 where the row of a session whose time is over was there, 0 if it was cleaned away."""
        return count_events(self.world.core)[name] - self.expected.events[name]

    @verb(2)
    def use(self) -> None:
        self.try_access(self.some_access())

    def try_access(self, access: Access) -> None:
        answer = self.world.call("GET", "/greeting", token=access.token)
        good, held = access.is_good(self.world.now), "notes:read" in access.scopes
        self.judge(answer, (200 if held else 403) if good else 401, what="stateless guard")
        if not good:
            return
        answer = self.world.call("GET", "/users/me", token=access.token)
        good, account = access.is_good(self.world.now), access.login.account
        self.judge(answer, 200 if good else 401, what="own account")
        if good:
            shown = answer.json()
            assert (shown["email"], shown["role"]) == (account.email, account.role)

    @verb(1, cut=rarely)
    def end_others(self, cut: bool) -> None:
        access = self.some_access()
        answer = self.world.call("DELETE", "/auth/sessions", token=access.token, cut=cut)
        if not access.is_good(self.world.now):
            return self.judge(answer, 401)
        self.judge(answer, 204, cut=cut)
        self.expected.events["sessions_ended"] += 1
        return self.expected.end_all(access.login.account, but=access.login)

    @verb(1, cut=rarely)
    def end_one(self, cut: bool) -> None:
        access = self.some_access()
        login = self.pick([one.login for one in self.expected.access], "session")
        path = f"/auth/sessions/{login.id}"
        answer = self.world.call("DELETE", path, token=access.token, cut=cut)
        now = self.world.now
        if not access.is_good(now):
            return self.judge(answer, 401)
        if login.account is not access.login.account or login.ended:
            return self.judge(answer, 404)
        over = not login.is_good(now)
        self.judge(answer, 204, *([404] if over else []), cut=cut)
        self.expected.events["sessions_ended"] += self._of_one_over("sessions_ended") if over else 1
        login.ended = True
        return None


def _narrowed(held: frozenset[str], asked: str) -> frozenset[str]:
    return held & frozenset(asked.split()) if asked else held


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found
