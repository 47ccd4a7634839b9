"""Registration, and what is done with mailed links; the task that sends them, too."""

from httpx2 import Response
from hypothesis import strategies as st

from model.comparing import id_of, owner_of_link
from model.expected import LINK_GUESSES, LINK_LIVES, Account, Link, Pending
from model.owners import Owners
from model.walk import EMAILS, SPARE, WRONG, emails, networks, rarely, verb
from model.world import FATES, HOME


class Links(Owners):
    """Verbs of whoever has no account, or has read a mail."""

    @verb(2, email=emails, network=networks, cut=rarely)
    def register(self, email: str, network: str, cut: bool = False) -> None:
        name, password = self.world.name("register"), self.new_password()
        answer = self.world.call(
            *("POST", "/auth/register"),
            json={"email": email, "password": password},
            headers={"X-Request-ID": name},
            network=network,
            cut=cut,
        )
        self.judge(answer, 202, cut=cut)
        if self.expected.may_mail("register", email, network, self.world.now):
            self.expected.asked[name] = Pending(email, password, network)

    @verb(3, email=emails, network=networks, cut=rarely)
    def forget_password(self, email: str, network: str, cut: bool = False) -> None:
        self._ask_for_link("/auth/forgot-password", "forgot", email, network, cut)

    @verb(2, email=emails, network=networks, cut=rarely)
    def ask_again(self, email: str, network: str, cut: bool) -> None:
        self._ask_for_link("/auth/verify-email/resend", "verify", email, network, cut)

    def _ask_for_link(self, path: str, kind: str, email: str, network: str, cut: bool) -> None:
        answer = self.world.call("POST", path, json={"email": email}, network=network, cut=cut)
        self.judge(answer, 202, cut=cut)
        self.expected.may_mail(kind, email, network, self.world.now)

    @verb(5, fates=st.lists(st.sampled_from(FATES), max_size=2))
    def do_mail(self, fates: list[str]) -> None:
        self.world.mail(self._see, fates)

    def _see(self, to: str, name: str, token: str | None) -> None:
        """A mail is about to be sent: its link, if any, is of something that is good still."""
        self.happened[f"mail: {name}"] += 1
        if token is None:
            return
        found = owner_of_link(self.world.core, token)
        assert found is not None, "the mail holds a link that is good no more already"
        kind, owner = found
        if kind == "registration":
            self._see_registration(self.expected.asked[str(owner)], to, token)
            return
        account = next(one for one in self.expected.living() if one.id == owner)
        if kind == "change_email":
            move = (account, to, account.events)
            assert move in self.expected.moves, "a change that is void went on"
        else:
            assert to == account.email
            assert kind == "reset" or not account.verified
        self._note(kind, token, account, to, account.events)

    def _see_registration(self, pending: Pending, to: str, token: str) -> None:
        assert pending.email == to
        assert not pending.gone, "a registration that is gone has come back"
        if pending not in self.expected.pending:
            self.expected.note_pending(pending)
        self._note("registration", token, pending, to)

    def _note(
        self, kind: str, token: str, owner: Account | Pending, to: str, events: int = 0
    ) -> None:
        until = self.world.now + LINK_LIVES[kind]
        self.expected.note_link(Link(kind, token, owner, to, until, events))

    def _some_link(self, *kinds: str) -> Link | None:
        """A link that was mailed, mostly a good one."""

        def found() -> list[Link]:
            return [link for link in self.expected.links if link.kind in kinds]

        if self.is_void(found()):
            self._ask_for(kinds[0])
            self.do_mail([])
        return self.pick(found(), "link") if found() else None

    def _ask_for(self, kind: str) -> None:
        if kind == "reset":
            return self.forget_password(self.draw(emails, "who asks"), HOME)
        names = EMAILS if kind == "registration" else SPARE
        free = [email for email in names if self.expected.of(email) is None]
        email = self.draw(st.sampled_from(free or names), "address")
        return self.register(email, HOME) if kind == "registration" else self.change_email(email)

    @verb(3, network=networks, cut=rarely)
    def confirm_move(self, network: str, cut: bool) -> None:
        if (link := self._some_link("change_email")) is not None:
            self.try_to_confirm(link, None, network, cut)

    @verb(
        4,
        password=st.sampled_from((None, "right", "right", "wrong")),
        network=networks,
        cut=rarely,
    )
    def confirm(self, password: str | None, network: str, cut: bool) -> None:
        link = self._some_link("registration", "verify")
        if link is not None:
            self.try_to_confirm(link, password, network, cut)

    @verb(1, network=networks, times=st.sampled_from((3, 10)))
    def guess_password_of_link(self, network: str, times: int) -> None:
        link = self._some_link("registration", "verify")
        for _ in range(times if link else 0):
            assert link is not None
            self.try_to_confirm(link, "wrong", network)

    def try_to_confirm(
        self, link: Link, password: str | None = None, network: str = HOME, cut: bool = False
    ) -> None:
        body = {"token": link.token}
        if password is not None:
            body["password"] = link.owner.password if password == "right" else WRONG
        answer = self.world.call("POST", "/auth/verify-email", json=body, network=network, cut=cut)
        good = link.is_good(self.world.now)
        asks = good and password is not None and link.kind != "change_email"
        if asks and not self._proves_link(link, password == "right", network, answer, cut):
            return
        if not good or not self._may_be_proved(link):
            self.judge(answer, 400, what=f"confirm {link.kind}")
            return
        self.judge(answer, 204, cut=cut, what=f"confirm {link.kind}")
        link.used = True
        if isinstance(link.owner, Pending):
            self._make_account(link.owner)
        elif link.kind == "verify":
            link.owner.verified = True
            self.expected.events["email_verified"] += 1
        else:
            self._move(link.owner, link.email)

    def _proves_link(
        self, link: Link, right: bool, network: str, answer: Response, cut: bool
    ) -> bool:
        """Whether a confirmation goes on after its password; else judge how it ends."""
        expected = self.expected
        if expected.guesses.are_too_many(link.email, network, self.world.now):
            self.judge(answer, 429, cut=cut, what="password of a link")
            return False
        if link.wrong == LINK_GUESSES:  # a process died at the last of them
            expected.guesses.wrong(link.email, network, self.world.now)
            self.judge(answer, 400, what="password of a link, spent")
            return False
        if right and not cut:
            expected.guesses.right(link.email, network)
            return True
        link.wrong += 1
        expected.guesses.wrong(link.email, network, self.world.now)
        if cut:  # the first commit is that count's, of a right one as well
            self.judge(answer, 500, what="password of a link")
            return False
        expected.events["login_failed"] += 1
        self.judge(answer, 400, what="password of a link")
        assert answer.json()["type"] == "urn:gatehouse:password"
        if link.wrong == LINK_GUESSES:
            link.used = True
            if isinstance(link.owner, Pending):
                expected.drop(link.owner)
        return False

    def _may_be_proved(self, link: Link) -> bool:
        """Whether the address of a good link is free for what the link is of."""
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

    def _move(self, account: Account, email: str) -> None:
        self.must_hear(account.email, "address_changed")
        account.email, account.verified = email, True
        self.expected.void(account)
        self.expected.events["email_changed"] += 1

    @verb(4, network=networks, cut=rarely)
    def reset(self, network: str, cut: bool) -> None:
        if (link := self._some_link("reset")) is not None:
            self.try_to_reset(link, network, cut)

    def try_to_reset(self, link: Link, network: str = HOME, cut: bool = False) -> None:
        body = {"token": link.token, "password": self.new_password()}
        path, account = "/auth/reset-password", link.owner
        answer = self.world.call("POST", path, json=body, network=network, cut=cut)
        assert isinstance(account, Account)
        if not link.is_good(self.world.now):
            self.judge(answer, 400)
            return
        self.judge(answer, 204, cut=cut)
        link.used = account.verified = True
        self.expected.set_password(account, body["password"])
        self.expected.events["password_reset"] += 1
        self.must_hear(account.email, "password_changed")
