"""What administrators, operators, time and crashes do to accounts."""

from typing import Any

from httpx2 import Response
from hypothesis import strategies as st

from model.comparing import id_of
from model.expected import DAY, HOUR, MINUTE, ROLES, Account
from model.logins import Logins
from model.walk import emails, mostly, rarely, verb

SOON = (17, 17, 17, 61, 61, 16 * MINUTE)
WAITS = (*SOON, *SOON, 31 * MINUTE, 2 * HOUR, 25 * HOUR, 15 * DAY)
LONGEST = 300 * DAY  # events are counted here, and kept for somewhat longer

CHANGES: tuple[dict[str, Any], ...] = (
    *({"is_active": False}, {"is_active": True}, {"is_active": True}),
    *({"role": "admin"}, {"role": "user"}),
)


class Administrators(Logins):
    """Verbs that one does to another's account, or to all."""

    @verb(5, change=st.sampled_from(CHANGES), cut=rarely)
    def administer(self, change: dict[str, Any], cut: bool) -> None:
        access = self.some_access("users:write")
        target = self.pick(self.expected.accounts, "account")
        path, role = f"/users/{target.id}", change.get("role")
        answer = self.world.call("PATCH", path, json=change, token=access.token, cut=cut)
        if not self._may_act(access, target, role, answer, cut):
            return
        role, active = role or target.role, change.get("is_active", target.active)
        if (role, active) == (target.role, target.active):
            self.judge(answer, 200, cut=cut)
        elif (role != "admin" or not active) and self.expected.is_last_administrator(target):
            self.judge(answer, 409)
        else:
            self.judge(answer, 200, cut=cut)
            switched = "user_enabled" if active else "user_disabled"
            self.expected.events["role_changed" if role != target.role else switched] += 1
            target.role, target.active = role, active
            self.expected.void(target)

    @verb(1, cut=rarely)
    def log_out_another(self, cut: bool) -> None:
        access = self.some_access("users:write")
        target = self.pick(self.expected.accounts, "account")
        path = f"/users/{target.id}/sessions"
        answer = self.world.call("DELETE", path, token=access.token, cut=cut)
        if self._may_act(access, target, None, answer, cut):
            self.judge(answer, 204, cut=cut)
            self.expected.events["sessions_ended"] += 1
            self.expected.end_all(target)

    def _may_act(
        self, access: Any, target: Account, role: str | None, answer: Response, cut: bool
    ) -> bool:
        """Whether the caller may act on an account; else judge the refusal."""
        caller = access.login.account
        touched = ROLES[target.role] | (ROLES[role] if role else frozenset())
        if not access.is_good(self.world.now):
            self.judge(answer, 401)
        elif "users:write" not in access.scopes:
            self.judge(answer, 403)
        elif target.deleted:
            self.judge(answer, 404)
        elif not touched <= access.scopes or (caller is target and role not in (None, target.role)):
            self.expected.events["role_refused"] += 1
            self.judge(answer, 403, cut=cut)
        else:
            return True
        return False

    @verb(2, name=st.sampled_from(("disable", "enable", "enable", "end-sessions")), email=emails)
    def command(self, name: str, email: str) -> None:
        expected, account = self.expected, self.expected.of(email)
        refused = account is None or (name == "disable" and expected.is_last_administrator(account))
        self._run(refused, "user", name, email)
        if account is None or refused:
            return
        if name == "end-sessions":
            expected.events["sessions_ended"] += 1
            expected.end_all(account)
            return
        account.active = name == "enable"
        expected.events["user_enabled" if account.active else "user_disabled"] += 1
        expected.void(account)

    @verb(1, everyone=rarely)
    def command_for_all(self, everyone: bool) -> None:
        if everyone:
            self._run(False, "user", "end-sessions", "--all")
            self.expected.events["sessions_ended"] += 1
            self.expected.end_all()
        else:
            self._run(False, "cleanup")
            self.expected.forget_old(self.world.now)

    def _run(self, refused: bool, *arguments: str) -> None:
        code = self.world.command(*arguments)
        self.happened[f"command {' '.join(arguments[:2])}: {code}"] += 1
        assert code == refused

    @verb(1, email=emails, verified=mostly)
    def import_account(self, email: str, verified: bool) -> None:
        password, taken = self.new_password(), self.expected.of(email) is not None
        file = self.world.account_file(email, password, verified)
        self._run(taken, "user", "import", file)
        if not taken:
            made = id_of(self.world.core, email)
            self.expected.events["user_created"] += 1
            self.expected.accounts.append(Account(made, email, password, verified=verified))

    @verb(5, seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        if self.world.now + seconds < self.world.began + LONGEST:
            self.world.wait(seconds)

    @verb(1)
    def restart(self) -> None:
        self.world.restart()
