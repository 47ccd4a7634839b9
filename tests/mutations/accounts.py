"""Accounts: passwords, sessions, links, mail, limits and what lies between them."""

from mutations import CORE, Mutation

MUTATIONS = {
    "failures of an address": Mutation(
        f"{CORE}/throttle.py",
        'LOGIN_NETWORK = Limit("login-network", 50, 900)',
        'LOGIN_NETWORK = Limit("login-network", 5000, 900)',
        "gatehouse/tests/test_throttled_logins.py",
    ),
    "lease of an errand": Mutation(
        f"{CORE}/outbox.py",
        "                errand.due_at = now + LEASE\n",
        "",
        "gatehouse/tests/test_outbox.py",
    ),
    "one successor": Mutation(
        f"{CORE}/refresh.py",
        ", col(RefreshToken.retired_at).is_(None)",
        "",
        "gatehouse/tests/test_refresh.py",
    ),
    "decoy hash": Mutation(
        f"{CORE}/proving.py",
        (
            "checked = await core.passwords.verify(password, stored, count, "
            "client=origin.network)\n    if found"
        ),
        (
            "checked = await core.passwords.verify(password, stored, count, "
            "client=origin.network) if stored else None\n    if found"
        ),
        "gatehouse/tests/test_login.py",
    ),
    "count before the hash": Mutation(
        f"{CORE}/proving.py",
        "core.passwords.verify(password, stored, count, client=origin.network)\n    if found",
        "core.passwords.verify(password, stored, client=origin.network)\n    if found",
        "gatehouse/tests/test_between.py",
    ),
    "a hundred failures in a row": Mutation(
        f"{CORE}/users.py",
        "and (user.failed_logins < MOST_FAILURES or known)",
        "",
        "gatehouse/tests/test_between.py",
    ),
    "retirement of an older link": Mutation(
        f"{CORE}/one_time.py",
        "    retire(session, user.id, purpose)\n",
        "",
        "gatehouse/tests/test_recovery.py",
    ),
    "what a reset makes void": Mutation(
        f"{CORE}/recovery.py",
        "    set_password(session, user, password_hash)\n",
        "    user.password_hash, user.failed_logins = password_hash, 0\n",
        "gatehouse/tests/test_recovery.py",
    ),
    "current password": Mutation(
        f"{CORE}/routes/doors.py",
        "        raise WRONG from None",
        (
            "        return users.find_credentials(core.database.read().__enter__(), User.id == "
            "user.id, verified=False, network=origin.network)"
        ),
        "gatehouse/tests/test_recovery.py",
    ),
    "mails to one address": Mutation(
        f"{CORE}/routes/doors.py",
        "if core.throttle.allows_mail(kind, key, origin.network):",
        "if True:",
        "gatehouse/tests/test_between.py",
    ),
    "mails of one network": Mutation(
        f"{CORE}/throttle.py",
        "            (MAIL, _key(MAIL, kind, key, network)),\n",
        "",
        "gatehouse/tests/test_between.py",
    ),
    "look for an account in the request": Mutation(
        f"{CORE}/routes/doors.py",
        "            leave(session, kind, origin, email=address,",
        (
            "            if session.exec(users.select(User).where(User.email_key == "
            "key)).first():\n                return Accepted()\n            leave(session, kind, "
            "origin, email=address,"
        ),
        "gatehouse/tests/test_registration.py",
    ),
    "last administrator": Mutation(
        f"{CORE}/users.py",
        "    if session.exec(active.limit(2)).all() == [user.id]:",
        "    if False:",
        "gatehouse/tests/test_administration.py",
    ),
    "stamp of a login under way": Mutation(
        f"{CORE}/users.py",
        "user is None or user.stamp != proved.stamp or",
        "user is None or",
        "gatehouse/tests/test_between.py",
    ),
    "activity of a login under way": Mutation(
        f"{CORE}/users.py",
        (
            "    if not _can_log_in(user, _is_known(session, user.id, network), "
            "proved.verified):\n        return None\n"
        ),
        "",
        "gatehouse/tests/test_login.py",
    ),
    "session that acts": Mutation(
        f"{CORE}/users.py",
        "or not is_open(session, session_id, user, idle)",
        "",
        "gatehouse/tests/test_between.py",
    ),
    "scopes of the row that is held": Mutation(
        f"{CORE}/routes/grants.py",
        (
            "scopes = frozenset(core.roles.get(user.role, ()))\n        if asked is not None and "
            "not (scopes := scopes & asked):\n            return None"
        ),
        "scopes = frozenset(core.roles.get(user.role, ())) if asked is None else asked",
        "gatehouse/tests/test_login.py",
    ),
    "stamp of a change of address that waits": Mutation(
        f"{CORE}/recovery.py",
        " or user.stamp != errand.stamp",
        "",
        "gatehouse/tests/test_between.py",
    ),
    "rise of the stamp": Mutation(
        f"{CORE}/stamps.py",
        '    user.stamp = cast("int", col(User.stamp) + 1)\n',
        "",
        "gatehouse/tests/test_between.py",
    ),
    "entry of an account": Mutation(
        f"{CORE}/stamps.py",
        "    _note(session, Ended(user_id=user_id, stamp=stamp, excepted=excepted))\n",
        "",
        "gatehouse/tests/test_between.py",
    ),
    "exception of the session that asks": Mutation(
        f"{CORE}/routes/accounts.py",
        "keep=caller.session_id)",
        "keep=None)",
        "gatehouse/tests/test_between.py",
    ),
    "one own role": Mutation(
        f"{CORE}/users.py",
        (
            "    if role is not None and role != user.role and user.id == caller.id:\n        "
            'raise NotAllowed("Nobody changes their own role.")\n'
        ),
        "",
        "gatehouse/tests/test_between.py",
    ),
    "scopes of who is administered": Mutation(
        f"{CORE}/users.py",
        " or not touched <= held:",
        ":",
        "gatehouse/tests/test_between.py",
    ),
    "scopes of the token that administers": Mutation(
        f"{CORE}/users.py",
        "held = acting.scopes & frozenset(",
        "held = frozenset(",
        "gatehouse/tests/test_between.py",
    ),
    "record of a refusal": Mutation(
        f"{CORE}/routes/administration.py",
        '            record(session, "role_refused", origin, user_id=user_id)\n',
        "            pass\n",
        "gatehouse/tests/test_between.py",
    ),
    "actor of an event": Mutation(
        f"{CORE}/audit.py",
        "        return replace(self, actor=str(user_id), actor_session_id=session_id)",
        "        return self",
        "gatehouse/tests/test_between.py",
    ),
    "actor of a command": Mutation(
        f"{CORE}/audit.py",
        'request_id="", actor="command")',
        'request_id="")',
        "gatehouse/tests/test_between.py",
    ),
    "count of an odd password": Mutation(
        f"{CORE}/passwords.py",
        '            password, normal, stored = "", "", None\n',
        "            return None\n",
        "gatehouse/tests/test_between.py",
    ),
    "failure on the account": Mutation(
        f"{CORE}/proving.py",
        "        users.note_failure(session, key)\n",
        "",
        "gatehouse/tests/test_between.py",
    ),
    "trace of a failure": Mutation(
        f"{CORE}/proving.py",
        (
            '        record(session, "login_failed", origin, user_id=found.user_id if found else '
            "None)\n"
        ),
        "",
        "gatehouse/tests/test_between.py",
    ),
    "password of a registration's link": Mutation(
        f"{CORE}/proving.py",
        "    if checked is None:\n        await run_in_threadpool(_note_wrong",
        "    if False:\n        await run_in_threadpool(_note_wrong",
        "gatehouse/tests/test_between.py",
    ),
    "ten wrong passwords of a link": Mutation(
        f"{CORE}/registration.py",
        "            col(table.wrong_passwords) >= MOST_WRONG_PASSWORDS,\n",
        "            col(table.wrong_passwords) > MOST_WRONG_PASSWORDS,\n",
        "gatehouse/tests/test_between.py",
    ),
    "bound of a network's registrations": Mutation(
        f"{CORE}/registration.py",
        "    if count[made.network] > MOST_OF_A_NETWORK:",
        "    if False:",
        "gatehouse/tests/test_between.py",
    ),
    "bound of an address's registrations": Mutation(
        f"{CORE}/registration.py",
        "    elif count.total() > MOST_PENDING:",
        "    elif False:",
        "gatehouse/tests/test_between.py",
    ),
    "takeover by a registration": Mutation(
        f"{CORE}/registration.py",
        "    set_password(session, user, pending.password_hash)\n    record",
        "    record",
        "gatehouse/tests/test_between.py",
    ),
    "everyone out": Mutation(
        f"{CORE}/revocation.py",
        " or token.epoch < self._epoch:",
        ":",
        "gatehouse/tests/test_revocation.py",
    ),
    "stamp of an access token": Mutation(
        f"{CORE}/revocation.py",
        "            and (token.stamp or 0) < event.stamp\n",
        "            and False\n",
        "gatehouse/tests/test_revocation.py",
    ),
    "exception of one session alone": Mutation(
        f"{CORE}/revocation.py",
        "            and token.session_id != event.excepted\n",
        "            and event.excepted is None\n",
        "gatehouse/tests/test_revocation.py",
    ),
    "order that the list follows": Mutation(
        f"{CORE}/revocation.py",
        "        return col(table.position) > _first(self._seen)",
        "        return col(table.position) > _first(self._seen) + 1",
        "gatehouse/tests/test_revocation.py",
    ),
    "older event of an account": Mutation(
        f"{CORE}/revocation.py",
        "if known is None or known.stamp < one.stamp:",
        "if True:",
        "gatehouse/tests/test_revocation.py",
    ),
    "trace of a refused refresh": Mutation(
        f"{CORE}/routes/grants.py",
        '            "refresh_refused",\n',
        '            "refresh",\n',
        "gatehouse/tests/test_refresh.py",
    ),
    "limit before the body": Mutation(
        f"{CORE}/routes/doors.py",
        "            await run_in_threadpool(refuse_flood, core, origin, limit)\n",
        "",
        "gatehouse/tests/test_recovery.py",
    ),
}
