"""The rules: what clients, administrators, operators, time and failures do to accounts.

Each says by `Expected` what the answer must be, asks, and looks that it is. After each step what
the database holds is compared with what is expected of it (see `comparing.py`).
"""

import json
import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

from comparing import compare, count_events, id_of, owner_of_link
from expected import (
    DAY,
    GRACE,
    HOUR,
    LINK_GUESSES,
    LINK_LIVES,
    MAIL_KEPT,
    MINUTE,
    NOTEWORTHY_FAILURES,
    ROLES,
    Access,
    Account,
    Expected,
    Link,
    Login,
    Pending,
    Refresh,
)
from gatehouse.testing import CreateUser
from httpx2 import Response
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from world import AWAY, FATES, HOME, NETWORKS, World

EMAILS = ("ada@example.com", "bob@example.com", "carol@example.com", "dora@example.com")
ROOT = "root@example.com"
SOON = (17, 17, 17, 61, 61, 16 * MINUTE)
WAITS = (*SOON, *SOON, 31 * MINUTE, 2 * HOUR, 25 * HOUR, 15 * DAY)
EVENTS_KEPT = 300 * DAY  # somewhat less than events are kept, which are counted here
# A scope more often than not is not asked for; the last of these a user's role does not hold.
SCOPES = ("", "", "notes:read", "notes:read users:write", "users:write")

who_logs_in = st.sampled_from((ROOT, *EMAILS[:2]))
emails = st.sampled_from(EMAILS)
networks = st.sampled_from(NETWORKS)
RARELY = st.integers(0, 7).map(lambda number: number == 7)
cuts = RARELY
mostly = RARELY.map(lambda rarely: not rarely)


@dataclass(frozen=True)
class Verb:
    """Something that is done to the service, and what is drawn for it."""

    function: Callable[..., None]
    draws: dict[str, st.SearchStrategy[Any]]

    def __repr__(self) -> str:
        return self.function.__name__


UUID_IN_PATH = re.compile(r"[0-9a-f-]{36}")
VERBS: list[Verb] = []
Function = TypeVar("Function", bound=Callable[..., None])


def verb(weight: int, **draws: st.SearchStrategy[Any]) -> Callable[[Function], Function]:
    """Mark a method as one of the verbs, as often as `weight` says."""

    def mark(function: Function) -> Function:
        VERBS.extend([Verb(function, draws)] * weight)
        return function

    return mark


class Machine(RuleBasedStateMachine):
    """Two accounts or three, an administrator, and what befalls them."""

    happened = Counter[str]()  # in all histories together: what was asked, and the answers

    def __init__(self, make_world: Callable[[], World], create_user: CreateUser) -> None:
        super().__init__()
        self.world = make_world()
        self.expected = Expected()
        self._create_user = create_user
        self._asked: dict[str, Pending] = {}  # registrations, by the request's id
        self._moves: list[tuple[Account, str, int]] = []  # changes of address that are under way
        self.began = self.world.now

    def teardown(self) -> None:
        try:
            self.try_all_that_is_void()
        finally:
            self.world.close()

    @initialize(admin=st.booleans())
    def begin(self, admin: bool) -> None:
        """Two accounts that are logged in, and an administrator."""
        for email in (ROOT, *EMAILS[:2]):
            password = self._password()
            role = "admin" if email == ROOT or (admin and email == EMAILS[0]) else "user"
            user = self._create_user(email, password, role)
            self.expected.accounts.append(Account(user.id, email, password, role))
            self._log_in(email, password, "", HOME, False)

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """One verb. Hypothesis' own choice of rules leaves half of them out of a history."""
        self._data = data
        verb: Verb = data.draw(st.sampled_from(VERBS), label="verb")
        verb.function(self, **{name: data.draw(given, name) for name, given in verb.draws.items()})

    # --- what the rules share

    def _password(self) -> str:
        return self.world.name("seven quiet herons at dawn")

    def _pick(self, among: list[Any], label: str) -> Any:
        """One of several, mostly one that is good still."""
        good = [one for one in among if self._is_good(one)]
        choice = among if not good or self._data.draw(RARELY, "any") else good
        return self._data.draw(st.sampled_from(choice[::-1]), label)

    def _access(self, scope: str = "") -> Access:
        """A token of somebody who is logged in or, rarely, of somebody who was."""
        held = [one for one in self.expected.access if scope in ("", *one.scopes)]
        now = self.world.now + 1
        if not any(one.is_good(now) for one in held) and not self._data.draw(RARELY, "void"):
            account = self.expected.of(self._data.draw(who_logs_in, "who logs in"))
            if account is not None:
                self._log_in(account.email, account.password, "", HOME, False)
        return cast(
            Access,
            self._pick(
                self.expected.access
                if self._data.draw(RARELY, "any")
                else held or self.expected.access,
                "token",
            ),
        )

    def _link(self, *kinds: str) -> Link | None:
        """A link that was mailed, mostly a good one."""

        def found() -> list[Link]:
            return [link for link in self.expected.links if link.kind in kinds]

        now = self.world.now + 1
        if not any(link.is_good(now) for link in found()) and not self._data.draw(RARELY, "void"):
            if "reset" in kinds:
                email = self._data.draw(emails, "who asks")
                self.ask_for_link(email, "forgot", HOME, False)
            else:
                free = [email for email in EMAILS if self.expected.of(email) is None]
                self.register(self._data.draw(st.sampled_from(free or EMAILS)), HOME, False)
            self.do_mail([])
        return cast(Link, self._pick(found(), "link")) if found() else None

    def _is_good(self, thing: Any) -> bool:
        if isinstance(thing, Refresh):
            return thing.login.is_live(self.world.now)
        if isinstance(thing, Login):
            return thing.is_live(self.world.now)
        if isinstance(thing, Account):
            return not thing.deleted
        good: bool = thing.is_good(self.world.now)
        return good

    def _judge(self, answer: Response, *statuses: int, cut: bool = False, what: str = "") -> None:
        expected = (*statuses, 500) if cut else statuses
        path = UUID_IN_PATH.sub("…", answer.request.url.path)
        verb = f"{answer.request.method} {path}"
        self.happened[f"{what or verb} {answer.status_code}"] += 1
        assert answer.status_code in expected, (verb, answer.status_code, expected, answer.text)

    def _fail(self, email: str, network: str) -> None:
        self.expected.guesses.wrong(email, network, self.world.now)
        self.expected.fail(email)

    def _must_hear(self, email: str, name: str) -> None:
        self.expected.notices.append((self.world.now, (email, name)))

    # --- logging in

    @verb(
        5,
        email=st.sampled_from((*EMAILS, ROOT)),
        password=st.sampled_from(("right", "right", "right", "wrong", "another's")),
        scope=st.sampled_from(SCOPES),
        network=networks,
        cut=cuts,
    )
    def log_in(self, email: str, password: str, scope: str, network: str, cut: bool) -> None:
        account = self.expected.of(email)
        text = "wrong, and long enough"
        if password == "right" and account is not None:
            text = account.password
        elif password == "another's" and self.expected.accounts:
            text = self.expected.accounts[-1].password
        self._log_in(email, text, scope, network, cut)

    def _log_in(self, email: str, password: str, scope: str, network: str, cut: bool) -> None:
        expected, account = self.expected, self.expected.of(email)
        form = {"grant_type": "password", "username": email, "password": password, "scope": scope}
        answer = self.world.call("POST", "/auth/token", data=form, network=network, cut=cut)
        now = self.world.now
        if expected.guesses.are_too_many(email, network, now):
            return self._judge(answer, 429, cut=cut, what="login")
        granted = ROLES[account.role] if account else frozenset()
        if scope:
            granted &= frozenset(scope.split())
        opens = expected.opens(account, password, network) and bool(account and account.verified)
        if account is None or not opens or not granted:
            self._fail(email, network)
            return self._judge(answer, 400, cut=cut, what="login")
        self._judge(answer, 200, cut=cut, what="login")
        expected.guesses.right(email, network)
        if account.failures >= NOTEWORTHY_FAILURES:
            self._must_hear(email, "login_after_failures")
        account.failures = 0
        account.known[network] = now
        expected.events["login"] += 1
        login = Login(account, account.events, granted, now, now)
        expected.logins.append(login)
        first = Refresh(login, None)
        login.chain.append(first)
        expected.refresh.append(first)
        self._keep(answer, login, first, granted)

    def _keep(self, answer: Response, login: Login, token: Refresh, scopes: frozenset[str]) -> None:
        """What an answer of the token endpoint gives, if it arrived."""
        if answer.status_code != 200:
            return
        given = answer.json()
        assert frozenset(given["scope"].split()) == scopes
        assert token.token in (None, given["refresh_token"])
        token.token = given["refresh_token"]
        claims = _claims(given["access_token"])
        assert frozenset(claims["scope"].split()) == scopes
        assert claims["sub"] == str(login.account.id)
        login.id = UUID(claims["sid"])
        access = Access(login, given["access_token"], scopes, claims["exp"])
        self.expected.access.append(access)

    @verb(1, email=emails, network=networks, times=st.sampled_from((3, 10)))
    def guess(self, email: str, network: str, times: int) -> None:
        for _ in range(times):
            self._log_in(email, "wrong, and long enough", "", network, False)

    # --- refreshing and logging out

    @verb(5, scope=st.sampled_from(SCOPES), network=networks, cut=cuts)
    def refresh(self, scope: str, network: str, cut: bool) -> None:
        self._access()  # so that there is one
        known = [token for token in self.expected.refresh if token.token]
        self._refresh(self._pick(known, "token"), scope, network, cut)

    def _refresh(self, token: Refresh, scope: str, network: str, cut: bool = False) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": token.token or "", "scope": scope}
        answer = self.world.call("POST", "/auth/token", data=form, network=network, cut=cut)
        expected, login, now = self.expected, token.login, self.world.now
        if not login.is_live(now):
            return self._judge(answer, 400, what="refresh, void")
        again = token.again
        if token.retired is not None:
            fresh = now - token.retired < GRACE
            if not fresh or again is None or again.retired is not None:
                login.ended = True
                expected.events["refresh_reuse"] += 1
                return self._judge(answer, 400, cut=cut, what="refresh, reuse")
        granted = login.scopes & frozenset(scope.split()) if scope else login.scopes
        if not granted:
            expected.events["refresh_refused"] += 1
            return self._judge(answer, 400, cut=cut, what="refresh, nothing left")
        self._judge(answer, 200, cut=cut, what="refresh")
        if again is None:
            again = Refresh(login, None)
            token.retired, token.again, login.used = now, again, now
            login.chain.append(again)
            expected.refresh.append(again)
        expected.events["refresh"] += 1
        self._keep(answer, login, again, granted)
        return None

    @verb(1, cut=cuts)
    def revoke(self, cut: bool) -> None:
        expected = self.expected
        tokens = [*expected.access, *(token for token in expected.refresh if token.token)]
        token = self._pick(tokens, "token")
        answer = self.world.call("POST", "/auth/revoke", data={"token": token.token}, cut=cut)
        self._judge(answer, 200, cut=cut)
        readable = isinstance(token, Refresh) or self.world.now < token.expires
        if readable and not token.login.ended:
            # Also one whose time is over, until it is cleaned away.
            alive = token.login.is_live(self.world.now)
            expected.events["logout"] += 1 if alive else self._over("logout")
            token.login.ended = True

    def _over(self, name: str) -> int:
        """How many events were written of a session that was over, or was cleaned away by then."""
        return count_events(self.world.core)[name] - self.expected.events[name]

    @verb(2)
    def use(self) -> None:
        self._use(self._access())

    def _use(self, access: Access) -> None:
        good = access.is_good(self.world.now + 1)
        answer = self.world.call("GET", "/greeting", token=access.token)
        held = "notes:read" in access.scopes
        self._judge(answer, (200 if held else 403) if good else 401, what="stateless")
        answer = self.world.call("GET", "/users/me", token=access.token)
        good = access.is_good(self.world.now)
        self._judge(answer, 200 if good else 401, what="own account")
        if good:
            assert answer.json()["email"] == access.login.account.email
            assert answer.json()["role"] == access.login.account.role

    @verb(1, cut=cuts)
    def end_others(self, cut: bool) -> None:
        access = self._access()
        answer = self.world.call("DELETE", "/auth/sessions", token=access.token, cut=cut)
        if not access.is_good(self.world.now):
            return self._judge(answer, 401)
        self._judge(answer, 204, cut=cut)
        self.expected.events["sessions_ended"] += 1
        for login in self.expected.logins:
            if login.account is access.login.account and login is not access.login:
                login.ended = True

    @verb(1, cut=cuts)
    def end_one(self, cut: bool) -> None:
        access = self._access()
        login = self._pick([one.login for one in self.expected.access], "session")
        path = f"/auth/sessions/{login.id}"
        answer = self.world.call("DELETE", path, token=access.token, cut=cut)
        now = self.world.now
        if not access.is_good(now):
            return self._judge(answer, 401)
        mine = login.account is access.login.account
        if mine and not login.ended and not login.is_live(now):
            self._judge(answer, 204, 404, cut=cut)  # over, and perhaps cleaned away
            self.expected.events["sessions_ended"] += self._over("sessions_ended")
        elif not mine or login.ended:
            return self._judge(answer, 404)
        else:
            self._judge(answer, 204, cut=cut)
            self.expected.events["sessions_ended"] += 1
        login.ended = True

    # --- changes by the owner, each with a password

    def _prove(
        self, access: Access, right: bool, network: str, answer: Response, cut: bool
    ) -> Account | None:
        """The account, if the token is good and the password opens it now; else judge the rest."""
        account, now = access.login.account, self.world.now
        if not access.is_good(now):
            return self._judge(answer, 401)
        if self.expected.guesses.are_too_many(account.email, network, now):
            return self._judge(answer, 429, cut=cut)
        password = account.password if right else ""
        if not self.expected.opens(account, password, network):
            self._fail(account.email, network)
            return self._judge(answer, 400, cut=cut)
        self.expected.guesses.right(account.email, network)
        return account

    def _current(self, access: Access, right: bool) -> str:
        return access.login.account.password if right else "wrong, and long enough"

    @verb(2, right=mostly, network=networks, cut=cuts)
    def change_password(self, right: bool, network: str, cut: bool) -> None:
        access = self._access()
        new = self._password()
        body = {"current_password": self._current(access, right), "new_password": new}
        answer = self.world.call(
            *("POST", "/auth/change-password"),
            json=body,
            token=access.token,
            network=network,
            cut=cut,
        )
        account = self._prove(access, right, network, answer, cut)
        if account is not None:
            self._judge(answer, 204, cut=cut)
            self.expected.set_password(account, new, access.login)
            self.expected.events["password_changed"] += 1
            self._must_hear(account.email, "password_changed")

    @verb(4, new=emails, right=mostly, network=networks, cut=cuts)
    def change_email(self, new: str, right: bool, network: str, cut: bool) -> None:
        access = self._access()
        body = {"current_password": self._current(access, right), "new_email": new}
        answer = self.world.call(
            "POST", "/auth/change-email", json=body, token=access.token, network=network, cut=cut
        )
        account = self._prove(access, right, network, answer, cut)
        if account is None:
            return
        self._judge(answer, 202, cut=cut)
        account.failures = 0
        if self.expected.may_mail("change_email", new, network, self.world.now):
            self._moves.append((account, new, account.events))
            self.expected.events["email_change_requested"] += 1
            self._must_hear(account.email, "address_change_requested")

    @verb(1, right=mostly, network=networks, cut=cuts)
    def delete(self, right: bool, network: str, cut: bool) -> None:
        access = self._access()
        body = {"current_password": self._current(access, right)}
        answer = self.world.call(
            "DELETE", "/users/me", json=body, token=access.token, network=network, cut=cut
        )
        account = self._prove(access, right, network, answer, cut)
        if account is None:
            return
        if self.expected.is_last_administrator(account):
            return self._judge(answer, 409)
        self._judge(answer, 204, cut=cut)
        self.expected.void(account)
        account.deleted = True
        self.expected.events["account_deleted"] += 1

    # --- registration, and mailed links

    @verb(2, email=emails, network=networks, cut=cuts)
    def register(self, email: str, network: str, cut: bool) -> None:
        name, password = self.world.name("register"), self._password()
        answer = self.world.call(
            *("POST", "/auth/register"),
            json={"email": email, "password": password},
            headers={"X-Request-ID": name},
            network=network,
            cut=cut,
        )
        self._judge(answer, 202, cut=cut)
        if self.expected.may_mail("register", email, network, self.world.now):
            self._asked[name] = Pending(email, password, network)

    @verb(4, email=emails, kind=st.sampled_from(("verify", "forgot")), network=networks, cut=cuts)
    def ask_for_link(self, email: str, kind: str, network: str, cut: bool) -> None:
        path = {"verify": "/auth/verify-email/resend", "forgot": "/auth/forgot-password"}[kind]
        answer = self.world.call("POST", path, json={"email": email}, network=network, cut=cut)
        self._judge(answer, 202, cut=cut)
        self.expected.may_mail(kind, email, network, self.world.now)

    @verb(5, fates=st.lists(st.sampled_from(FATES), max_size=2))
    def do_mail(self, fates: list[str]) -> None:
        self.world.mail(self._see, fates)

    def _see(self, to: str, name: str, token: str | None) -> None:
        """A mail is about to be sent: its link, if any, is of something that is still good."""
        expected, now = self.expected, self.world.now
        self.happened[f"mail {name}"] += 1
        if token is None:
            return
        found = owner_of_link(self.world.core, token)
        assert found is not None, "the mail holds a link that is already good no more"
        kind, owner = found
        if kind == "registration":
            pending = self._asked[str(owner)]
            assert pending.email == to
            if pending not in expected.pending:
                assert not pending.gone, "a registration that is gone has come back"
                expected.note_pending(pending)
            expected.note_link(Link(kind, token, pending, to, now + LINK_LIVES[kind]))
            return
        account = next(one for one in expected.living() if one.id == owner)
        assert account.active
        if kind == "change_email":
            assert (account, to, account.events) in self._moves, "a change that is void went on"
        else:
            assert to == account.email
            assert kind == "reset" or not account.verified
        expected.note_link(Link(kind, token, account, to, now + LINK_LIVES[kind], account.events))

    @verb(
        5, password=st.sampled_from((None, "right", "right", "wrong")), network=networks, cut=cuts
    )
    def confirm(self, password: str | None, network: str, cut: bool) -> None:
        if (link := self._link("registration", "verify", "change_email")) is not None:
            self._confirm(link, password, network, cut)

    @verb(1, network=networks, times=st.sampled_from((3, 10)))
    def guess_password_of_link(self, network: str, times: int) -> None:
        if (link := self._link("registration", "verify")) is not None:
            for _ in range(times):
                self._confirm(link, "wrong", network, False)

    def _confirm(self, link: Link, password: str | None, network: str, cut: bool) -> None:
        expected, owner = self.expected, link.owner
        body = {"token": link.token}
        if password is not None:
            body["password"] = owner.password if password == "right" else "wrong and long enough"
        answer = self.world.call("POST", "/auth/verify-email", json=body, network=network, cut=cut)
        good = link.is_good(self.world.now)
        if good and password is not None and link.kind != "change_email":
            if not self._prove_link(link, password, network, answer, cut):
                return
        if not good or not self._may_confirm(link):
            return self._judge(answer, 400, what=f"confirm {link.kind}")
        self._judge(answer, 204, cut=cut, what=f"confirm {link.kind}")
        link.used = True
        if isinstance(owner, Pending):
            self._make_account(owner)
        elif link.kind == "verify":
            owner.verified = True
            expected.events["email_verified"] += 1
        else:
            self._must_hear(owner.email, "address_changed")
            owner.email, owner.verified = link.email, True
            expected.void(owner)
            expected.events["email_changed"] += 1

    def _prove_link(
        self, link: Link, password: str, network: str, answer: Response, cut: bool
    ) -> bool:
        """Whether a confirmation goes on after its password; else it is judged."""
        expected = self.expected
        if expected.guesses.are_too_many(link.email, network, self.world.now):
            self._judge(answer, 429, cut=cut, what="link password")
            return False
        link.wrong += 1  # counted before the hash: also the right one, until the link is used
        if cut or password == "wrong":
            expected.guesses.wrong(link.email, network, self.world.now)
        if cut:
            self._judge(answer, 500, what="link password, cut off")
            return False
        if password == "wrong":
            expected.events["login_failed"] += 1
            self._judge(answer, 400, what="link password, wrong")
            assert answer.json()["type"] == "urn:gatehouse:password"
            if link.wrong >= LINK_GUESSES and isinstance(link.owner, Pending):
                expected.drop(link.owner)
            return False
        expected.guesses.right(link.email, network)
        return True

    def _may_confirm(self, link: Link) -> bool:
        holder = self.expected.of(link.email)
        if isinstance(link.owner, Pending):
            return holder is None or (holder.active and not holder.verified)
        return holder in (None, link.owner)

    def _make_account(self, pending: Pending) -> None:
        expected, account = self.expected, self.expected.of(pending.email)
        expected.events["email_verified"] += 1
        if account is None:
            expected.events["registered"] += 1
            made = id_of(self.world.core, pending.email)
            expected.accounts.append(Account(made, pending.email, pending.password))
        else:
            account.verified = True
            expected.set_password(account, pending.password)
        for other in [one for one in expected.pending if one.email == pending.email]:
            expected.drop(other)

    @verb(4, network=networks, cut=cuts)
    def reset(self, network: str, cut: bool) -> None:
        if (link := self._link("reset")) is not None:
            self._reset(link, network, cut)

    def _reset(self, link: Link, network: str, cut: bool = False) -> None:
        body = {"token": link.token, "password": self._password()}
        answer = self.world.call(
            "POST", "/auth/reset-password", json=body, network=network, cut=cut
        )
        account = link.owner
        assert isinstance(account, Account)
        if not link.is_good(self.world.now):
            return self._judge(answer, 400)
        self._judge(answer, 204, cut=cut)
        link.used = account.verified = True
        self.expected.set_password(account, body["password"])
        self.expected.events["password_reset"] += 1
        self._must_hear(account.email, "password_changed")

    # --- administration

    @verb(
        5,
        change=st.sampled_from(
            (
                *({"is_active": False}, {"is_active": True}, {"is_active": True}),
                *({"role": "admin"}, {"role": "user"}, None),
            )
        ),
        cut=cuts,
    )
    def administer(self, change: dict[str, Any] | None, cut: bool) -> None:
        """Change another's account or, with no change, end its sessions."""
        access = self._access("users:write")
        target = self._pick(self.expected.accounts, "account")
        path = f"/users/{target.id}"
        if change is None:
            answer = self.world.call("DELETE", f"{path}/sessions", token=access.token, cut=cut)
        else:
            answer = self.world.call("PATCH", path, json=change, token=access.token, cut=cut)
        caller, role = access.login.account, (change or {}).get("role")
        if not access.is_good(self.world.now):
            return self._judge(answer, 401)
        if "users:write" not in access.scopes:
            return self._judge(answer, 403)
        if target.deleted:
            return self._judge(answer, 404)
        held = access.scopes & ROLES[caller.role]
        touched = ROLES[target.role] | (ROLES[role] if role else frozenset())
        if not touched <= held or (caller is target and role not in (None, target.role)):
            self.expected.events["role_refused"] += 1
            return self._judge(answer, 403, cut=cut)
        self._change(target, change, answer, cut)

    def _change(
        self, target: Account, change: dict[str, Any] | None, answer: Response, cut: bool
    ) -> None:
        expected = self.expected
        if change is None:
            expected.events["sessions_ended"] += 1
            self._end_all_of(target)
            return self._judge(answer, 204, cut=cut)
        role, active = change.get("role", target.role), change.get("is_active", target.active)
        if (role, active) == (target.role, target.active):
            return self._judge(answer, 200, cut=cut)
        lost = role != "admin" or not active
        if lost and expected.is_last_administrator(target):
            return self._judge(answer, 409)
        self._judge(answer, 200, cut=cut)
        if role != target.role:
            expected.events["role_changed"] += 1
        else:
            expected.events["user_enabled" if active else "user_disabled"] += 1
        target.role, target.active = role, active
        expected.void(target)

    def _end_all_of(self, account: Account | None = None) -> None:
        for login in self.expected.logins:
            if account in (None, login.account):
                login.ended = True

    @verb(2, name=st.sampled_from(("disable", "enable", "enable", "end-sessions")), email=emails)
    def command(self, name: str, email: str) -> None:
        code = self.world.command("user", name, email)
        self.happened[f"command {name} {code}"] += 1
        account, expected = self.expected.of(email), self.expected
        if account is None or (name == "disable" and expected.is_last_administrator(account)):
            assert code == 1
            return
        assert code == 0
        done = {"disable": "user_disabled", "enable": "user_enabled"}
        expected.events[done.get(name, "sessions_ended")] += 1
        if name == "end-sessions":
            self._end_all_of(account)
        else:
            account.active = name == "enable"
            expected.void(account)

    @verb(1, everyone=RARELY)
    def command_for_all(self, everyone: bool) -> None:
        if not everyone:
            assert self.world.command("cleanup") == 0
            return self.expected.forget_old(self.world.now)
        assert self.world.command("user", "end-sessions", "--all") == 0
        self.expected.events["sessions_ended"] += 1
        self._end_all_of()

    @verb(1, email=emails, verified=st.booleans())
    def import_account(self, email: str, verified: bool) -> None:
        password = self._password()
        code = self.world.import_account(email, password, verified)
        self.happened[f"command import {code}"] += 1
        if self.expected.of(email) is not None:
            assert code == 1
            return
        assert code == 0
        self.expected.events["user_created"] += 1
        made = id_of(self.world.core, email)
        self.expected.accounts.append(Account(made, email, password, verified=verified))

    # --- time and failures

    @verb(5, seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        if self.world.now + seconds < self.began + EVENTS_KEPT:
            self.world.wait(seconds)

    @verb(1)
    def restart(self) -> None:
        self.world.restart()

    # --- what must hold

    @invariant()
    def nothing_else_has_happened(self) -> None:
        compare(self.world.core, self.expected, self.world.now)

    def try_all_that_is_void(self) -> None:
        """Nothing of before an event works after it, not even once."""
        now = self.world.now
        latest = {access.login: access for access in self.expected.access}
        for access in latest.values():
            if not access.is_good(now):
                self._use(access)
        for token in [one for one in self.expected.refresh if one.token]:
            if not token.login.is_live(now):
                self._refresh(token, "", HOME)
        for link in [one for one in self.expected.links if not one.is_good(now)]:
            if link.kind == "reset":
                self._reset(link, AWAY)
            else:
                self._confirm(link, None, AWAY, False)
        self._see_notices()
        compare(self.world.core, self.expected, self.world.now)

    def _see_notices(self) -> None:
        """What an owner must hear of has been sent, once nothing is in the way any more.

        But for what the mail server put off when it was a day old.
        """
        self.world.wait(2 * HOUR)
        self.world.mail(self._see, [])
        since = self.world.put_off_at - MAIL_KEPT
        wanted = Counter(notice for made, notice in self.expected.notices if made > since)
        assert not wanted - self.world.arrived, (wanted, self.world.arrived)


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found
