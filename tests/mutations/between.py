"""What lies between two acts on one account, seen by all pairs of them and not by tests of each."""

from mutations import CORE, Mutation

PAIRS = "gatehouse/tests/test_pairs.py"

MUTATIONS = {
    "hole 1: scopes and stamp of the row that is held": Mutation(
        f"{CORE}/routes/grants.py",
        (
            "        user = users.lock_proved(session, proved, origin.network)\n"
            "        if user is None:\n"
            "            return None\n"
            "        scopes = frozenset(core.roles.get(user.role, ()))\n"
        ),
        (
            "        user = users.lock_user(session, proved.user_id)\n"
            "        if user is None:\n"
            "            return None\n"
            "        scopes = frozenset(core.roles.get(proved.role, ()))\n"
        ),
        f"{PAIRS} an_account-log_in-demote",
    ),
    "hole 1: stamp of a login under way": Mutation(
        f"{CORE}/accounts/users.py",
        "user is None or user.stamp != proved.stamp or",
        "user is None or",
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
        f"{CORE}/accounts/recovery.py",
        "not user.is_active or user.stamp != errand.stamp:\n        return None\n    if is_",
        "not user.is_active:\n        return None\n    if is_",
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
            "    user.is_active = False\n    return _void(session, user)\n\n\n"
            "def enable(session: Session, user: LockedUser) -> None:\n"
            '    """Let a disabled account log in again, with nothing that was begun before."""\n'
            "    user.is_active = True\n    _void(session, user)\n"
        ),
        (
            "    user.is_active = False\n"
            "    from gatehouse.accounts.sessions import end_sessions\n"
            "    return end_sessions(session, col(LoginSession.user_id) == user.id)\n\n\n"
            "def enable(session: Session, user: LockedUser) -> None:\n"
            '    """Let a disabled account log in again, with nothing that was begun before."""\n'
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
        "    end_account(session, user.id, user.stamp)\n",
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
