"""What lies between two acts on one account, seen by all pairs of them and not by tests of each."""

from mutations import CORE, Mutation

PAIRS = "gatehouse/tests/test_pairs.py"

MUTATIONS = {
    "hole 1: scopes and stamp of the row that is held": Mutation(
        f"{CORE}/accounts/logins.py",
        (
            "        user = users.lock_proved(session, proved, origin.network)\n"
            "        scopes = frozenset(core.roles.get(user.role, ())) if user"
        ),
        (
            "        user = users.lock_user(session, proved.user_id)\n"
            "        scopes = frozenset(core.roles.get(user.role, ())) if user"
        ),
        f"{PAIRS} an_account-log_in-demote",
    ),
    "hole 1: stamp of a login under way": Mutation(
        f"{CORE}/accounts/users.py",
        "        User.stamp == proved.stamp,\n",
        "",
        f"{PAIRS} an_account-log_in-reset",
    ),
    "log-out beside a change of address": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    return session.exec(query.with_for_update(of=LoginSession)).first() is not None\n",
        "    return session.exec(query).first() is not None\n",
        f"{PAIRS} an_account-change_email-revoke",
        postgresql=True,
    ),
    "hole 2: stamp of a change of address that waits": Mutation(
        f"{CORE}/accounts/users.py",
        "    return user if job.stamp == user.stamp else None\n",
        "    return user\n",
        f"{PAIRS} an_account-reset-mail_change_email",
    ),
    "hole 2: stamp of a change of address under way": Mutation(
        f"{CORE}/routes/accounts.py",
        (
            "            locked = lock_confirmed(core, session, proved, caller, origin.network)\n"
            "            users.forgive_failures"
        ),
        (
            "            locked = users.lock_user(session, proved.user_id)\n"
            "            users.forgive_failures"
        ),
        f"{PAIRS} an_account-change_email-reset",
    ),
    "hole 3: what disabling and enabling make void": Mutation(
        f"{CORE}/accounts/users.py",
        (
            "    ended = _void(session, user)\n"
            '    record(session, "user_disabled", origin, user_id=user.id)\n'
            "    return ended\n"
            "\n"
            "\n"
            "def enable(session: Session, user: LockedUser, origin: Origin) -> None:\n"
            '    """Let a disabled account log in again, with nothing that was begun '
            'before."""\n'
            "    user.is_active = True\n"
            "    _void(session, user)\n"
        ),
        (
            "    from gatehouse.accounts.sessions import end_sessions\n"
            "    ended = end_sessions(session, col(LoginSession.user_id) == user.id)\n"
            '    record(session, "user_disabled", origin, user_id=user.id)\n'
            "    return ended\n"
            "\n"
            "\n"
            "def enable(session: Session, user: LockedUser, origin: Origin) -> None:\n"
            '    """Let a disabled account log in again, with nothing that was begun '
            'before."""\n'
            "    user.is_active = True\n"
        ),
        f"{PAIRS} an_account-enable-confirm_email",
    ),
    "stamp of a link, in the transaction that acts": Mutation(
        f"{CORE}/accounts/one_time.py",
        "            col(OneTimeToken.stamp) == user.stamp,\n",
        "",
        f"{PAIRS} an_account-reset-promote",
    ),
    "hole 10: entry of a deleted account": Mutation(
        f"{CORE}/accounts/users.py",
        "    end_account(session, user_id, user.stamp)\n",
        "",
        f"{PAIRS} an_account-delete-log_in",
    ),
    "lock of an account's row": Mutation(
        f"{CORE}/accounts/users.py",
        ".with_for_update(read=share)",
        "",
        f"{PAIRS} an_account-change_email-reset",
        postgresql=True,
    ),
}
