"""What was begun under an earlier release works after the update, or is void as UPGRADING says.

Each release is served for real and left in the midst of everything: sessions open, links mailed
and not used, mail that its server put off. The same database is then served by this version.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from check_service import postgresql
from check_sessions import until
from deployment import ADMIN, PASSWORD, Call, Client, Deployment, do_jobs, prepare
from mail_server import MailServer, mail_server
from rendering import RELEASES
from sampling import sample
from versions import order

NEW_PASSWORD = "correct horse battery staple"
MAIL_SINCE = "0.3.0"  # registration, mailed links and jobs
LOG_OUT_SINCE = "0.2.0"  # refresh tokens, ended sessions, `user disable`
CASES = [(list(RELEASES)[-1], "postgresql"), *((version, "sqlite") for version in RELEASES)]

# Accounts by what becomes of them: links that were mailed under the old release …
PROVED = (
    *("forgetful", "reset", "changed", "mover", "enabled", "robbed_mover"),
    *("late_forgot", "late_mover", "late_changer", "late_moved", "late_failed", "late_void"),
    *("killed_forgot", "killed_mover", "killed_void", "overtaken", "late_overtaken"),
)
UNPROVED = ("unproved", "contested", "late_resend", "killed_resend")
# … and jobs that were not done: put off by the mail server, or not begun.
LATE, KILLED = "late@example.com", "killed@example.com"
JUST_RETIRED = (
    "UPDATE gatehouse_refresh_token SET retired_at = CURRENT_TIMESTAMP WHERE retired_at IS NOT NULL"
)

Tokens = dict[str, dict[str, str]]
Links = dict[str, str]


def address(name: str) -> str:
    return f"{name}@example.com"


def moved(name: str) -> str:
    """Where an account is to move."""
    return f"{name}@example.org"


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "postgresql":
        with postgresql() as url:
            yield url
    else:
        yield f"sqlite:///{folder}/life.db"


@pytest.mark.slow
@pytest.mark.parametrize(("version", "kind"), sample(CASES, 3))
def test_what_was_begun_under_a_release_works_or_is_void(
    every_version: Path, tmp_path: Path, version: str, kind: str
) -> None:
    has_mail = order(version) >= order(MAIL_SINCE)
    can_log_out = order(version) >= order(LOG_OUT_SINCE)
    grace = {"AUTH_REFRESH_GRACE_SECONDS": "60"} if can_log_out else {}
    folders = prepare(every_version, tmp_path, version)
    with database(kind, tmp_path) as url, mail_server() as mail:
        key = Deployment.of(folders[0], url, "", "").run("keys", "new").strip()
        old, new = (Deployment.of(folder, url, mail.url, key, **grace) for folder in folders)
        old.run("migrate")
        tokens = make_accounts(old, can_log_out)
        links: Links = {}
        if has_mail:
            with old.serving() as client:
                register(client, mail)
                links = leave_links(client, mail, tokens)
                leave_late_jobs(client, mail, tokens)
            old.call_unstarted(killed_calls(tokens))
        rotated = rotate(old, tokens) if can_log_out else {}

        new.run("migrate")
        with new.serving() as client:
            if can_log_out:  # as though the update had taken no time
                new.execute(JUST_RETIRED)
            assert_sessions_go_on(client, tokens, rotated)
            assert_old_tokens_end(client, tokens, rotated)
            if has_mail:
                assert_links_work_once(client, links)
                assert_links_are_void(client, links, tokens)
                void_jobs(client, tokens)
            do_jobs(new, client, mail)
            if has_mail:
                assert_jobs_are_done(client, mail)
            assert_unproved_accounts_confirm(new, client, mail)


def make_accounts(old: Deployment, can_log_out: bool) -> Tokens:
    """By the commands, and sessions of them by HTTP."""
    old.create(ADMIN, "--admin")
    for name in ("quiet", "leaver", "off", "unmailed", "taken_over"):
        old.create(address(name))
    unproved = "UPDATE gatehouse_user SET email_verified_at = NULL WHERE email IN (:one, :two)"
    old.execute(unproved, one=address("unmailed"), two=address("taken_over"))
    with old.serving() as client:
        tokens = {name: client.tokens(address(name)) for name in ("quiet", "leaver", "off")}
        for name in ("unmailed", "taken_over"):
            assert client.log_in(address(name)).status_code == 400
        assert client.post("/notes", tokens["quiet"]["access_token"], title="mine") == 201
        if can_log_out:
            tokens["ended"] = client.tokens(address("quiet"))
            tokens["retried"] = client.tokens(address("quiet"))
            tokens["robbed"] = client.tokens(address("quiet"))
            ended = client.http.post(
                "/auth/revoke", data={"token": tokens["ended"]["refresh_token"]}
            )
            assert ended.status_code == 200
            old.run("user", "disable", address("off"))
        else:
            disable = "UPDATE gatehouse_user SET is_active = false WHERE email = :email"
            old.execute(disable, email=address("off"))
    return tokens


def rotate(old: Deployment, tokens: Tokens) -> dict[str, str]:
    """The last thing before the update: one answer was lost, one token was stolen."""
    with old.serving() as client:
        robbed = client.refresh(tokens["robbed"]["refresh_token"]).json()["refresh_token"]
        return {
            "robbed": client.refresh(robbed).json()["refresh_token"],
            "retried": client.refresh(tokens["retried"]["refresh_token"]).json()["refresh_token"],
        }


def register(client: Client, mail: MailServer) -> None:
    for name in (*PROVED, *UNPROVED):
        assert client.post("/auth/register", email=address(name), password=PASSWORD) == 202
    for name in PROVED:
        token = token_of(mail, address(name), "verify-email")
        assert client.post("/auth/verify-email", token=token) == 204


def token_of(mail: MailServer, to: str, page: str) -> str:
    """The token of the newest link to a page that was mailed to an address; waits for it."""
    found = re.search(r"#token=([^&\s]+)", mail.link(to, page))
    assert found
    return found[1]


def leave_links(client: Client, mail: MailServer, tokens: Tokens) -> Links:
    """Mail links of each kind, and use some of them."""
    movers = ("mover", "enabled", "robbed_mover", "late_moved", "overtaken")
    for name in movers:
        tokens[name] = client.tokens(address(name))
    forgotten = ("forgetful", "reset", "changed", "robbed_mover")
    for name in forgotten:
        assert client.post("/auth/forgot-password", email=address(name)) == 202
    for name in movers:
        ask_to_move(client, tokens[name]["access_token"], name)
    links = {name: token_of(mail, address(name), "reset-password") for name in forgotten}
    links |= {name: token_of(mail, address(name), "verify-email") for name in UNPROVED}
    for name in movers:
        links[f"{name} moves"] = token_of(mail, moved(name), "verify-email")
    assert client.post("/auth/reset-password", token=links["reset"], password=NEW_PASSWORD) == 204
    disable_and_enable(client, tokens["overtaken"]["access_token"])
    return links


def ask_to_move(client: Client, token: str, name: str) -> None:
    body = {"new_email": moved(name), "current_password": PASSWORD}
    assert client.post("/auth/change-email", token, **body) == 202


def leave_late_jobs(client: Client, mail: MailServer, tokens: Tokens) -> None:
    """A job of each kind, tried once and put off by the mail server."""
    late = ("late_mover", "late_changer", "late_void", "late_overtaken")
    names = (*late, "killed_mover", "killed_void")
    tokens |= {name: client.tokens(address(name)) for name in names}
    until(lambda: len(mail.to(address("late_moved"))) == 2, 60)  # its link and that it was asked
    mail.busy = True
    assert client.post("/auth/register", email=LATE, password=PASSWORD) == 202
    assert client.post("/auth/verify-email/resend", email=address("late_resend")) == 202
    assert client.post("/auth/forgot-password", email=address("late_forgot")) == 202
    for name in ("late_mover", "late_void", "late_overtaken"):
        ask_to_move(client, tokens[name]["access_token"], name)
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    for name in ("late_changer", "late_overtaken"):
        token = tokens[name]["access_token"]
        assert client.post("/auth/change-password", token, **change) == 204
    link = token_of(mail, moved("late_moved"), "verify-email")
    assert client.post("/auth/verify-email", token=link) == 204
    stranger = Client(str(client.http.base_url), "203.0.113.9")
    for number in range(10):
        assert not stranger.opens(address("late_failed"), f"nine wrong words in row {number}")
    assert client.opens(address("late_failed"))
    waiting = {LATE, moved("late_mover"), moved("late_void")}
    waiting |= {address(name) for name in ("late_resend", "late_forgot", "late_mover")}
    waiting |= {address(name) for name in ("late_changer", "late_moved", "late_failed")}
    until(lambda: waiting <= set(mail.refused), 60)


def killed_calls(tokens: Tokens) -> list[Call]:
    """The same, of an old process that was killed before it looked at any of them."""
    calls: list[Call] = [
        ("/auth/register", {"email": KILLED, "password": PASSWORD}, ""),
        ("/auth/verify-email/resend", {"email": address("killed_resend")}, ""),
        ("/auth/forgot-password", {"email": address("killed_forgot")}, ""),
    ]
    for name in ("killed_mover", "killed_void"):
        body = {"new_email": moved(name), "current_password": PASSWORD}
        calls.append(("/auth/change-email", body, tokens[name]["access_token"]))
    return calls


def assert_sessions_go_on(client: Client, tokens: Tokens, rotated: dict[str, str]) -> None:
    """And passwords open what they opened; who was out stays out."""
    if rotated:  # first, for the time in which a refresh may be tried again is short
        again = client.refresh(tokens["retried"]["refresh_token"])
        assert again.json().get("refresh_token") == rotated["retried"]
        quiet = client.refresh(tokens["quiet"]["refresh_token"])
        assert quiet.status_code == 200
        assert client.good(quiet.json()["access_token"])
    items = client.get("/notes", tokens["quiet"]["access_token"]).json()["items"]
    assert [note["title"] for note in items] == ["mine"]
    assert client.good(tokens["quiet"]["access_token"])
    for name in ("quiet", "leaver", "admin"):
        assert client.good(client.tokens(address(name))["access_token"])
    for name in ("off", "unmailed", "taken_over"):
        assert not client.opens(address(name))


def assert_old_tokens_end(client: Client, tokens: Tokens, rotated: dict[str, str]) -> None:
    """Those of sessions that had ended, that end now, and of accounts that are disabled now."""
    # 0.1.0 had neither: there an account that its owner disabled by hand is out at routes that
    # read it, and no list says so to the others.
    if rotated:
        assert not client.good(tokens["off"]["access_token"])
        for name in ("ended", "off"):
            assert client.refresh(tokens[name]["refresh_token"]).status_code == 400
        assert not client.good(tokens["ended"]["access_token"])
        assert client.good(tokens["robbed"]["access_token"])
        for token in (tokens["robbed"]["refresh_token"], rotated["robbed"]):
            assert client.refresh(token).status_code == 400
        assert not client.good(tokens["robbed"]["access_token"])
    else:
        assert client.get("/users/me", tokens["off"]["access_token"]).status_code == 401
    leaver = tokens["leaver"]["access_token"]
    assert client.good(leaver)
    assert client.http.post("/auth/revoke", data={"token": leaver}).status_code == 200
    assert not client.good(leaver)
    administrator = client.tokens(ADMIN)["access_token"]
    token = tokens["quiet"]["access_token"]
    user_id = client.get("/users/me", token).json()["id"]
    assert set_active(client, administrator, user_id, active=False) == 200
    assert not client.good(token)
    assert not client.opens(address("quiet"))
    assert set_active(client, administrator, user_id, active=True) == 200
    assert not client.good(token)
    assert client.good(client.tokens(address("quiet"))["access_token"])


def set_active(client: Client, administrator: str, user_id: str, *, active: bool) -> int:
    headers = {"Authorization": f"Bearer {administrator}"}
    path, body = f"/users/{user_id}", {"is_active": active}
    return client.http.patch(path, json=body, headers=headers).status_code


def disable_and_enable(client: Client, token: str) -> None:
    """An administrator does, with the account of a token."""
    user_id = client.get("/users/me", token).json()["id"]
    administrator = client.tokens(ADMIN)["access_token"]
    for active in (False, True):
        assert set_active(client, administrator, user_id, active=active) == 200


def assert_links_work_once(client: Client, links: Links) -> None:
    """Of each kind; what was used before the update is used."""
    reset = {"token": links["reset"], "password": NEW_PASSWORD}
    assert client.post("/auth/reset-password", **reset) == 400
    assert client.opens(address("reset"), NEW_PASSWORD)
    reset = {"token": links["forgetful"], "password": NEW_PASSWORD}
    assert [client.post("/auth/reset-password", **reset) for _ in range(2)] == [204, 400]
    assert not client.opens(address("forgetful"))
    assert client.opens(address("forgetful"), NEW_PASSWORD)
    # A registration of the same address by somebody else changes nothing for the earlier one.
    other = {"email": address("contested"), "password": NEW_PASSWORD}
    assert client.post("/auth/register", **other) == 202
    for name in ("unproved", "contested", "mover moves"):
        used = [client.post("/auth/verify-email", token=links[name]) for _ in range(2)]
        assert used == [204, 400], name
    assert client.opens(address("unproved"))
    assert client.opens(address("contested"))
    assert not client.opens(address("contested"), NEW_PASSWORD)
    assert client.opens(moved("mover"))
    assert not client.opens(address("mover"))
    assert client.post("/auth/verify-email", token=links["late_moved moves"]) == 400
    assert client.opens(moved("late_moved"))


def assert_links_are_void(client: Client, links: Links, tokens: Tokens) -> None:
    """After a security event of their account that comes after the update."""
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    token = client.tokens(address("changed"))["access_token"]
    assert client.post("/auth/change-password", token, **change) == 204
    reset = {"token": links["changed"], "password": PASSWORD}
    assert client.post("/auth/reset-password", **reset) == 400
    disable_and_enable(client, tokens["enabled"]["access_token"])
    assert client.post("/auth/verify-email", token=links["enabled moves"]) == 400
    # And before the update, where an earlier release left the link good.
    assert client.post("/auth/verify-email", token=links["overtaken moves"]) == 400
    reset = {"token": links["robbed_mover"], "password": NEW_PASSWORD}
    assert client.post("/auth/reset-password", **reset) == 204
    assert client.post("/auth/verify-email", token=links["robbed_mover moves"]) == 400
    assert not client.good(tokens["robbed_mover"]["access_token"])


def void_jobs(client: Client, tokens: Tokens) -> None:
    """A password changed: what was asked for before, under the old release, is not to happen."""
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    for name in ("late_void", "killed_void"):
        token = tokens[name]["access_token"]
        assert client.post("/auth/change-password", token, **change) == 204


def assert_jobs_are_done(client: Client, mail: MailServer) -> None:
    """Each mail came, and its link works; no mail that would act for what is void."""
    for email in (LATE, KILLED, address("late_resend"), address("killed_resend")):
        link = {"token": token_of(mail, email, "verify-email"), "password": PASSWORD}
        assert not client.opens(email)
        assert client.post("/auth/verify-email", **link) == 204, email
        assert client.opens(email)
    for name in ("late_forgot", "killed_forgot"):
        token = token_of(mail, address(name), "reset-password")
        assert client.post("/auth/reset-password", token=token, password=NEW_PASSWORD) == 204
        assert client.opens(address(name), NEW_PASSWORD)
    for name in ("late_mover", "killed_mover"):
        token = token_of(mail, moved(name), "verify-email")
        assert client.post("/auth/verify-email", token=token) == 204
        assert client.opens(moved(name))
    for name in ("late_void", "killed_void", "late_overtaken"):
        assert mail.to(moved(name)) == []
    notices = {
        "A new address was asked for": ("late_mover", "late_void", "killed_mover", "killed_void"),
        "Your password for": ("late_changer", "late_void", "killed_void", "reset", "forgetful"),
        "Your address for": ("late_moved", "mover"),
        "A login at": ("late_failed",),
    }
    for subject, names in notices.items():
        for name in names:
            subjects = [str(one["Subject"]) for one in mail.to(address(name))]
            assert sum(subject in one for one in subjects) == 1, (subject, name, subjects)


def assert_unproved_accounts_confirm(new: Deployment, client: Client, mail: MailServer) -> None:
    """Those that an earlier release, or its owner, left without a proof of their address."""
    one, other = address("unmailed"), address("taken_over")
    assert client.post("/auth/verify-email/resend", email=one) == 202
    ids = "SELECT id FROM gatehouse_user WHERE email = :email"
    before = new.execute(ids, email=other)
    assert client.post("/auth/register", email=other, password=NEW_PASSWORD) == 202
    for email in (one, other):
        token = token_of(mail, email, "verify-email")
        assert client.post("/auth/verify-email", token=token) == 204
    assert client.opens(one)
    assert client.opens(other, NEW_PASSWORD)
    assert not client.opens(other)
    assert new.execute(ids, email=other) == before
