"""What an owner does to the account, each with the password."""

from typing import Any

from httpx2 import Response
from hypothesis import strategies as st

from model.expected import Access, Account
from model.logins import Logins
from model.walk import EMAILS, SPARE, WRONG, mostly, networks, rarely, verb
from model.world import HOME


class Owners(Logins):
    """Verbs of the logged-in."""

    def _ask(
        self, path: str, access: Access, right: bool, network: str, cut: bool, **body: str
    ) -> Response:
        password = access.login.account.password if right else WRONG
        body["current_password"] = password
        method = "DELETE" if path == "/users/me" else "POST"
        more: dict[str, Any] = {"token": access.token, "network": network, "cut": cut}
        return self.world.call(method, path, json=body, **more)

    def _proved(
        self, access: Access, right: bool, network: str, answer: Response, cut: bool
    ) -> Account | None:
        """The account, if the token is good and the password opens it; else judge the refusal."""
        account, now = access.login.account, self.world.now
        password = account.password if right else WRONG
        if not access.is_good(now):
            self.judge(answer, 401)
        elif self.expected.guesses.are_too_many(account.email, network, now):
            self.judge(answer, 429, cut=cut)
        elif not self.expected.opens(account, password, network):
            self.fail(account.email, network)
            self.judge(answer, 400, cut=cut)
        else:
            self.expected.guesses.right(account.email, network)
            return account
        return None

    @verb(2, right=mostly, network=networks, cut=rarely)
    def change_password(self, right: bool, network: str, cut: bool) -> None:
        access, new = self.some_access(), self.new_password()
        path = "/auth/change-password"
        answer = self._ask(path, access, right, network, cut, new_password=new)
        account = self._proved(access, right, network, answer, cut)
        if account is not None:
            self.judge(answer, 204, cut=cut)
            self.expected.set_password(account, new, access.login)
            self.expected.events["password_changed"] += 1
            self.must_hear(account.email, "password_changed")

    @verb(2, new=st.sampled_from((*EMAILS, *SPARE)), right=mostly, network=networks, cut=rarely)
    def change_email(
        self, new: str, right: bool = True, network: str = HOME, cut: bool = False
    ) -> None:
        access = self.some_access()
        answer = self._ask("/auth/change-email", access, right, network, cut, new_email=new)
        account = self._proved(access, right, network, answer, cut)
        if account is None:
            return
        self.judge(answer, 202, cut=cut)
        account.failures = 0
        if self.expected.may_mail("change_email", new, network, self.world.now):
            self.expected.moves.append((account, new, account.events))
            self.expected.events["email_change_requested"] += 1
            self.must_hear(account.email, "address_change_requested")

    @verb(1, right=mostly, network=networks, cut=rarely)
    def delete(self, right: bool, network: str, cut: bool) -> None:
        access = self.some_access()
        answer = self._ask("/users/me", access, right, network, cut)
        account = self._proved(access, right, network, answer, cut)
        if account is None:
            return
        if self.expected.is_last_administrator(account):
            self.judge(answer, 409)
            return
        self.judge(answer, 204, cut=cut)
        self.expected.void(account)
        account.deleted = True
        self.expected.events["account_deleted"] += 1
