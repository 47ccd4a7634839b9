"""The whole machine: how a history begins, and what is tried at its end."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from model.administrators import Administrators
from model.comparing import compare
from model.expected import HOUR, MAIL_KEPT, Account
from model.links import Links
from model.walk import EMAILS, ROOT


class Machine(Links, Administrators):
    """Two accounts, an administrator, addresses that have no account yet, and all the verbs."""

    @initialize(admin=st.booleans())
    def begin(self, admin: bool) -> None:
        for email in (ROOT, *EMAILS[:2]):
            password = self.new_password()
            role = "admin" if email == ROOT or (admin and email == EMAILS[0]) else "user"
            user = self.create_user(email, password, role)
            self.expected.accounts.append(Account(user.id, email, password, role))
            self.try_password(email, password)

    def teardown(self) -> None:
        try:
            self._try_all_that_is_void()
            self._see_that_owners_heard()
            compare(self.world, self.expected)
        finally:
            self.world.close()

    def _try_all_that_is_void(self) -> None:
        """Nothing of before an event works after it."""
        expected, now = self.expected, self.world.now
        latest = {access.login: access for access in expected.access}
        for access in latest.values():
            if not access.is_good(now):
                self.try_access(access)
        newest = {token.login: token for token in expected.refresh if token.token}
        for token in newest.values():
            if not token.is_good(now):
                self.exchange(token)
        for link in [one for one in expected.links if not one.is_good(now)]:
            (self.try_to_reset if link.kind == "reset" else self.try_to_confirm)(link)

    def _see_that_owners_heard(self) -> None:
        """Each notice was sent, once nothing is in the way of mail any more.

        But for what the mail server put off when it was a day old already.
        """
        self.world.wait(2 * HOUR)
        self.do_mail([])
        since = self.world.put_off_at - MAIL_KEPT
        wanted = Counter(notice for made, notice in self.expected.notices if made > since)
        assert not wanted - self.world.arrived, (wanted, self.world.arrived)
