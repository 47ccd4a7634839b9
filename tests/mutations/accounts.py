"""Accounts: passwords, sessions, links, mail, limits and what lies between them."""

from mutations import CORE, Argued, Mutation

MUTATIONS = {
    "failures of an address": Mutation(
        f"{CORE}/throttling/throttle.py",
        'LOGIN_NETWORK = Limit("login-network", 50, 900)',
        'LOGIN_NETWORK = Limit("login-network", 5000, 900)',
        "gatehouse/tests/test_throttled_logins.py fifty",
    ),
    "lease of a job": Mutation(
        f"{CORE}/mailer/outbox.py",
        "                job.due_at = now + LEASE\n",
        "",
        "gatehouse/tests/test_outbox.py job",
    ),
    "one successor": Mutation(
        f"{CORE}/accounts/refresh.py",
        ", col(RefreshToken.retired_at).is_(None)",
        "",
        "gatehouse/tests/test_refresh.py inside",
    ),
    "decoy hash": Mutation(
        f"{CORE}/accounts/logins.py",
        (
            "checked = await core.passwords.verify(password, stored, count, "
            "client=origin.network)\n"
            "        return"
        ),
        (
            "checked = await core.passwords.verify(password, stored, count, "
            "client=origin.network) if stored else None\n"
            "        return"
        ),
        "gatehouse/tests/test_login.py looks",
    ),
    "count before the hash": Mutation(
        f"{CORE}/accounts/logins.py",
        "core.passwords.verify(password, stored, count, client=origin.network)",
        "core.passwords.verify(password, stored, client=origin.network)",
        "gatehouse/tests/test_between.py counted",
    ),
    "a hundred failures in a row": Mutation(
        f"{CORE}/accounts/users.py",
        "        or_(col(User.failed_logins) < MOST_FAILURES, earlier.correlate(User).exists()),\n",
        "",
        "gatehouse/tests/test_between.py hundred",
    ),
    "retirement of an older link": Mutation(
        f"{CORE}/accounts/one_time.py",
        "    retire(session, user.id, purpose)\n",
        "",
        "gatehouse/tests/test_recovery.py works",
    ),
    "what a reset makes void": Mutation(
        f"{CORE}/accounts/recovery.py",
        '    set_password(session, user, password_hash, "password_reset", origin.by(user.id))\n',
        "    user.password_hash, user.failed_logins = password_hash, 0\n",
        "gatehouse/tests/test_recovery.py reset_sets",
    ),
    "current password": Mutation(
        f"{CORE}/routes/shared.py",
        "        raise WRONG from None",
        (
            "        return users.find_credentials(core.database.read().__enter__(), User.id == "
            "user.id, verified=False, network=origin.network)"
        ),
        "gatehouse/tests/test_recovery.py change_that",
    ),
    "mails to one address": Mutation(
        f"{CORE}/routes/shared.py",
        "if core.throttle.allows_mail(kind, key, origin.network):",
        "if True:",
        "gatehouse/tests/test_between.py stranger",
    ),
    "mails of one network": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            _window(MAIL, kind, key, network),\n",
        "",
        "gatehouse/tests/test_between.py stranger",
    ),
    "look for an account in the request": Mutation(
        f"{CORE}/routes/shared.py",
        "            enqueue(\n                session, kind, origin, email=address,",
        (
            "            if session.exec(users.select(User).where(User.email_key == "
            "key)).first():\n                return Accepted()\n            enqueue(\n"
            "                session, kind, origin, email=address,"
        ),
        "gatehouse/tests/test_registration.py taken",
    ),
    "last administrator": Mutation(
        f"{CORE}/accounts/users.py",
        "    if session.exec(active.limit(2)).all() == [user.id]:",
        "    if False:",
        "gatehouse/tests/test_administration.py active",
    ),
    "activity of a login under way": Mutation(
        f"{CORE}/accounts/users.py",
        "        _can_log_in(proved.verified, network),\n    )\n    return _lock",
        "    )\n    return _lock",
        "gatehouse/tests/test_login.py disabled",
    ),
    "session that acts": Mutation(
        f"{CORE}/accounts/users.py",
        "or not is_open(session, session_id, user, idle)",
        "",
        "gatehouse/tests/test_between.py ended",
    ),
    "scopes of the row that is held": Mutation(
        f"{CORE}/accounts/logins.py",
        "            scopes &= asked\n        if user is None",
        "            scopes = asked\n        if user is None",
        "gatehouse/tests/test_login.py widens",
    ),
    "stamp of a change of address that waits": Mutation(
        f"{CORE}/accounts/users.py",
        "    return user if job.stamp == user.stamp else None\n",
        "    return user\n",
        "gatehouse/tests/test_between.py after_a_reset",
    ),
    "rise of the stamp": Mutation(
        f"{CORE}/accounts/stamps.py",
        '    user.stamp = cast("int", col(User.stamp) + 1)\n',
        "",
        "gatehouse/tests/test_between.py before",
    ),
    "entry of an account": Mutation(
        f"{CORE}/accounts/stamps.py",
        "    _note(session, Ended(user_id=user_id, stamp=stamp, excepted=excepted))\n",
        "",
        "gatehouse/tests/test_between.py changes",
    ),
    "exception of the session that asks": Mutation(
        f"{CORE}/routes/accounts.py",
        "keep=kept)",
        "keep=None)",
        "gatehouse/tests/test_between.py notice",
    ),
    "one own role": Mutation(
        f"{CORE}/accounts/users.py",
        (
            "    elif role is not None and role != user.role and user.id == caller.id:\n"
            '        reason = "Nobody changes their own role."\n'
        ),
        "",
        "gatehouse/tests/test_between.py holds",
    ),
    "scopes of who is administered": Mutation(
        f"{CORE}/accounts/users.py",
        " or not touched <= held:",
        ":",
        "gatehouse/tests/test_between.py holds",
    ),
    "scopes of the token that administers": Mutation(
        f"{CORE}/accounts/users.py",
        "held = acting.scopes & frozenset(",
        "held = frozenset(",
        "gatehouse/tests/test_between.py fewer",
    ),
    "record of a refusal": Mutation(
        f"{CORE}/accounts/users.py",
        '        record(session, "role_refused", origin, user_id=user_id)\n',
        "",
        "gatehouse/tests/test_between.py holds",
    ),
    "actor of an event": Mutation(
        f"{CORE}/throttling/origin.py",
        "        return replace(self, actor=str(user_id), actor_session_id=session_id)",
        "        return self",
        "gatehouse/tests/test_between.py holds",
    ),
    "actor of a command": Mutation(
        f"{CORE}/throttling/origin.py",
        'request_id="", actor="command")',
        'request_id="")',
        "gatehouse/tests/test_between.py command",
    ),
    "count of an odd password": Mutation(
        f"{CORE}/hashing/passwords.py",
        '            password, normal, stored = "", "", None\n',
        "            return None\n",
        "gatehouse/tests/test_between.py counted",
    ),
    "failure on the account": Mutation(
        f"{CORE}/accounts/users.py",
        "    session.execute(counted.values(failed_logins=col(User.failed_logins) + 1))\n",
        "",
        "gatehouse/tests/test_between.py counted",
    ),
    "trace of a failure": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "login_failed", origin, user_id=user_id)\n',
        "",
        "gatehouse/tests/test_between.py before",
    ),
    "password of a registration's link": Mutation(
        f"{CORE}/accounts/proving.py",
        "    if checked is None:\n        await core.database.run(_note_wrong",
        "    if False:\n        await core.database.run(_note_wrong",
        "gatehouse/tests/test_between.py link_asks",
    ),
    "ten wrong passwords of a link": Mutation(
        f"{CORE}/accounts/registration.py",
        "            col(table.wrong_passwords) >= MOST_WRONG_PASSWORDS,\n",
        "            col(table.wrong_passwords) > MOST_WRONG_PASSWORDS,\n",
        "gatehouse/tests/test_between.py is_good",
    ),
    "bound of a network's registrations": Mutation(
        f"{CORE}/accounts/registration.py",
        "    if count[made.network] > MOST_OF_A_NETWORK:",
        "    if False:",
        "gatehouse/tests/test_between.py pending",
    ),
    "bound of an address's registrations": Mutation(
        f"{CORE}/accounts/registration.py",
        "    elif count.total() > MOST_PENDING:",
        "    elif False:",
        "gatehouse/tests/test_between.py pending",
    ),
    "takeover by a registration": Mutation(
        f"{CORE}/accounts/registration.py",
        '    set_password(session, user, pending.password_hash, "password_reset", acting)\n',
        "",
        "gatehouse/tests/test_between.py a_registration",
    ),
    "everyone out": Mutation(
        f"{CORE}/accounts/revocation.py",
        " or token.epoch < self._epoch:",
        ":",
        "gatehouse/tests/test_revocation.py out_ends",
    ),
    "stamp of an access token": Mutation(
        f"{CORE}/accounts/revocation.py",
        "            and (token.stamp or 0) < event.stamp\n",
        "            and False\n",
        "gatehouse/tests/test_revocation.py those",
    ),
    "exception of one session alone": Mutation(
        f"{CORE}/accounts/revocation.py",
        "            and token.session_id != event.excepted\n",
        "            and event.excepted is None\n",
        "gatehouse/tests/test_revocation.py those",
    ),
    "order that the list follows": Mutation(
        f"{CORE}/accounts/revocation.py",
        "        return col(table.position) > _first(self._seen)",
        "        return col(table.position) > _first(self._seen) + 1",
        "gatehouse/tests/test_revocation.py those",
    ),
    "older event of an account": Mutation(
        f"{CORE}/accounts/revocation.py",
        "if known is None or known.stamp < one.stamp:",
        "if True:",
        "gatehouse/tests/test_revocation.py older_event",
    ),
    "trace of a refused refresh": Mutation(
        f"{CORE}/accounts/refresh.py",
        '"refresh_refused"',
        '"refresh"',
        "gatehouse/tests/test_refresh.py never",
    ),
    "limit before the body": Mutation(
        f"{CORE}/routes/shared.py",
        "            await core.database.run(refuse_flood, core, origin, limit)\n",
        "",
        "gatehouse/tests/test_recovery.py tokens",
    ),
    "login with an address that nobody proved": Mutation(
        f"{CORE}/accounts/users.py",
        "col(User.email_verified_at).is_not(None) if verified else true()",
        "true()",
        "gatehouse/tests/test_login.py failed_login",
    ),
    "login of a disabled account": Mutation(
        f"{CORE}/accounts/users.py",
        "        col(User.is_active),\n        col(User.email_verified_at)",
        "        col(User.email_verified_at)",
        "gatehouse/tests/test_login.py failed_login",
    ),
    "network that an account is known from": Mutation(
        f"{CORE}/accounts/users.py",
        ', AuditEvent.event == "login", AuditEvent.network == network\n',
        ', AuditEvent.event == "login"\n',
        "gatehouse/tests/test_throttled_logins.py hundred",
    ),
    "account that a network is known by": Mutation(
        f"{CORE}/accounts/users.py",
        "        AuditEvent.user_id == User.id, AuditEvent.event",
        "        AuditEvent.event",
        "gatehouse/tests/test_throttled_logins.py hundred",
    ),
    "network known by a login, not by a failure": Mutation(
        f"{CORE}/accounts/users.py",
        'AuditEvent.event == "login", AuditEvent.network',
        "AuditEvent.network",
        "gatehouse/tests/test_throttled_logins.py hundred",
    ),
    "failures of one account": Mutation(
        f"{CORE}/accounts/users.py",
        "    counted = update(User).where(col(User.email_key) == email_key)\n",
        "    counted = update(User)\n",
        "gatehouse/tests/test_throttled_logins.py counted",
    ),
    "hash that a better one takes the place of": Mutation(
        f"{CORE}/accounts/users.py",
        "    if user is not None and user.password_hash == proved.password_hash:\n",
        "    if user is not None:\n",
        "gatehouse/tests/test_between.py better_hash",
    ),
    "failures that a right password forgives": Mutation(
        f"{CORE}/accounts/logins.py",
        "    user.failed_logins = 0\n",
        "",
        "gatehouse/tests/test_throttled_logins.py forgives",
    ),
    "failures that a reset forgives": Mutation(
        f"{CORE}/accounts/users.py",
        "    user.failed_logins = 0\n    _void",
        "    _void",
        "gatehouse/tests/test_throttled_logins.py reset",
    ),
    "what a new password makes void": Mutation(
        f"{CORE}/accounts/users.py",
        "    user.failed_logins = 0\n    _void(session, user, keep)\n",
        "    user.failed_logins = 0\n    session.add(user)\n",
        "gatehouse/tests/test_recovery.py reset_sets",
    ),
    "what a new address makes void": Mutation(
        f"{CORE}/accounts/users.py",
        "    user.email_verified_at = utc_now()\n    _void(session, user)\n",
        "    user.email_verified_at = utc_now()\n    session.add(user)\n",
        "gatehouse/tests/test_recovery.py address",
    ),
    "what a new role makes void": Mutation(
        f"{CORE}/accounts/users.py",
        "    user.role = role\n    _void(session, user)\n",
        "    user.role = role\n    session.add(user)\n",
        "gatehouse/tests/test_administration.py scopes",
    ),
    "what disabling makes void": Mutation(
        f"{CORE}/accounts/users.py",
        "    ended = _void(session, user)\n",
        "    session.add(user)\n    ended = 0\n",
        "gatehouse/tests/test_administration.py disabled",
    ),
    "what enabling makes void": Mutation(
        f"{CORE}/accounts/users.py",
        "    user.is_active = True\n    _void(session, user)\n",
        "    user.is_active = True\n    session.add(user)\n",
        "gatehouse/tests/test_between.py before",
    ),
    "rows of the sessions that are void": Mutation(
        f"{CORE}/accounts/users.py",
        "    return drop_sessions(session, user.id, but)\n",
        "    return 0\n",
        "gatehouse/tests/test_commands.py disabled",
    ),
    "one key for an address": Mutation(
        f"{CORE}/accounts/users.py",
        (
            "    address, key = normalise(email)\n"
            "    user = User(\n"
            "        email=address,\n"
            "        email_key=key,\n"
        ),
        (
            "    address, key = normalise(email)\n"
            "    user = User(\n"
            "        email=address,\n"
            "        email_key=email,\n"
        ),
        "gatehouse/tests/test_commands.py taken",
    ),
    "address that is taken": Mutation(
        f"{CORE}/accounts/users.py",
        "    except IntegrityError:\n        raise AddressTaken",
        "    except ZeroDivisionError:\n        raise AddressTaken",
        "gatehouse/tests/test_commands.py taken",
    ),
    "session of who administers": Mutation(
        f"{CORE}/accounts/users.py",
        (
            "    caller = require_session(session, lock_user(session, acting.user_id), "
            "acting.session_id, idle)\n"
        ),
        "    caller = lock_user(session, acting.user_id)\n    assert caller\n",
        "gatehouse/tests/test_between.py demoted",
    ),
    "scope of who administers, by now": Mutation(
        f"{CORE}/accounts/users.py",
        'if "users:write" not in held or not touched',
        "if not touched",
        "gatehouse/tests/test_between.py holds or given",
    ),
    "scopes of the role that is given": Mutation(
        f"{CORE}/accounts/users.py",
        ' | frozenset(roles.get(role or "", ()))\n',
        "\n",
        "gatehouse/tests/test_between.py holds or given",
    ),
    "scopes of the role that is taken": Mutation(
        f"{CORE}/accounts/users.py",
        "touched = frozenset(roles.get(user.role, ())) | frozenset(",
        "touched = frozenset(",
        "gatehouse/tests/test_between.py holds or given",
    ),
    "last administrator, disabled": Mutation(
        f"{CORE}/accounts/users.py",
        "    require_another_administrator(session, user)\n    user.is_active = False\n",
        "    user.is_active = False\n",
        "gatehouse/tests/test_administration.py last",
    ),
    "last administrator, demoted": Mutation(
        f"{CORE}/accounts/users.py",
        "        require_another_administrator(session, user)\n    user.role = role\n",
        "        pass\n    user.role = role\n",
        "gatehouse/tests/test_administration.py holds_as_much",
    ),
    "last administrator, deleted": Mutation(
        f"{CORE}/accounts/users.py",
        "    require_another_administrator(session, user)\n    user_id = user.id",
        "    user_id = user.id",
        "gatehouse/tests/test_recovery.py last",
    ),
    "administrators who are disabled": Mutation(
        f"{CORE}/accounts/users.py",
        "User.role == ADMIN, col(User.is_active).is_(True))\n",
        "User.role == ADMIN)\n",
        "gatehouse/tests/test_administration.py last",
    ),
    "order of those who administer": Mutation(
        f"{CORE}/accounts/users.py",
        '    if session.get_bind().dialect.name == "postgresql":\n',
        "    if False:\n",
        "gatehouse/tests/test_administration.py at_once",
        postgresql=True,
    ),
    "live session of who is looked up": Mutation(
        f"{CORE}/accounts/users.py",
        '            *is_live_at(bindparam("now"), bindparam("unused_since")),\n        )\n',
        "        )\n",
        "gatehouse/tests/test_guards.py ended",
    ),
    "life of a reset link": Mutation(
        f"{CORE}/accounts/one_time.py",
        '    "reset": timedelta(minutes=30),\n',
        '    "reset": timedelta(minutes=31),\n',
        "gatehouse/tests/test_recovery.py half_an_hour",
    ),
    "life of a link that proves an address": Mutation(
        f"{CORE}/accounts/one_time.py",
        '    "verify": timedelta(hours=24),\n',
        '    "verify": timedelta(hours=25),\n',
        "gatehouse/tests/test_registration.py after_a_day",
    ),
    "life of a link that changes an address": Mutation(
        f"{CORE}/accounts/one_time.py",
        '    "change_email": timedelta(hours=24),\n',
        '    "change_email": timedelta(hours=25),\n',
        "gatehouse/tests/test_recovery.py earlier",
    ),
    "random bits of a link": Mutation(
        f"{CORE}/accounts/one_time.py",
        "    token = PREFIX + secrets.token_urlsafe(32)\n",
        "    token = PREFIX + secrets.token_urlsafe(12)\n",
        "gatehouse/tests/test_recovery.py 256_bits",
    ),
    "digest of a link": Mutation(
        f"{CORE}/accounts/one_time.py",
        '    return sha256(token[:MAX_LENGTH].encode("utf-8", "surrogatepass")).hexdigest()\n',
        "    return token[:MAX_LENGTH]\n",
        "gatehouse/tests/test_recovery.py 256_bits",
    ),
    "end of a link, when it is used": Mutation(
        f"{CORE}/accounts/one_time.py",
        "            col(OneTimeToken.expires_at) > utc_now(),\n        )\n        .returning",
        "        )\n        .returning",
        "gatehouse/tests/test_recovery.py hashed",
    ),
    "purpose of a link, when it is used": Mutation(
        f"{CORE}/accounts/one_time.py",
        (
            "            col(OneTimeToken.purpose).in_(purposes),\n"
            "            col(OneTimeToken.stamp) == user.stamp,\n"
        ),
        "            col(OneTimeToken.stamp) == user.stamp,\n",
        "gatehouse/tests/test_recovery.py purpose",
    ),
    "use of a link": Mutation(
        f"{CORE}/accounts/one_time.py",
        "        delete(OneTimeToken)\n        .where(\n",
        (
            '        __import__("sqlalchemy").update(OneTimeToken)\n'
            "        .values(wrong_passwords=0)\n"
            "        .where(\n"
        ),
        "gatehouse/tests/test_recovery.py purpose",
    ),
    "disabled account of a link": Mutation(
        f"{CORE}/accounts/one_time.py",
        "    if row is None or not user.is_active:\n",
        "    if row is None:\n",
        "gatehouse/tests/test_recovery.py purpose",
    ),
    "disabled account that is mailed a link": Mutation(
        f"{CORE}/accounts/recovery.py",
        "    if user is None or not user.is_active:\n        return None\n    # To the",
        "    if user is None:\n        return None\n    # To the",
        "gatehouse/tests/test_recovery.py only_an_active",
    ),
    "link to the address as it is kept": Mutation(
        f"{CORE}/accounts/recovery.py",
        '    return Mail(user.email, "reset_password"',
        '    return Mail(job.email, "reset_password"',
        "gatehouse/tests/test_recovery.py its_own_address",
    ),
    "trace of a forgotten password": Mutation(
        f"{CORE}/accounts/recovery.py",
        '        record(session, "password_reset_requested", source_of(job), user_id=user_id)\n',
        "",
        "gatehouse/tests/test_outbox.py event",
    ),
    "trace of a reset": Mutation(
        f"{CORE}/accounts/recovery.py",
        '"password_reset", origin.by(user.id))',
        '"login", origin.by(user.id))',
        "gatehouse/tests/test_recovery.py reset_sets",
    ),
    "notice of a reset": Mutation(
        f"{CORE}/accounts/users.py",
        '    notify(session, "password_changed", user, origin)\n',
        "",
        "gatehouse/tests/test_recovery.py reset_sets",
    ),
    "notice of a change of address that is asked for": Mutation(
        f"{CORE}/accounts/recovery.py",
        '    notify(session, "address_change_requested", user, origin)\n',
        "",
        "gatehouse/tests/test_recovery.py proved",
    ),
    "trace of a change of address that is asked for": Mutation(
        f"{CORE}/accounts/recovery.py",
        '    record(session, "email_change_requested", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_recovery.py proved",
    ),
    "address of another account": Mutation(
        f"{CORE}/accounts/recovery.py",
        "    if (other := session.exec(taken).one_or_none()) is not None:\n",
        "    if (other := session.exec(taken).one_or_none()) is not None and False:\n",
        "gatehouse/tests/test_recovery.py taken",
    ),
    "notice to the old address": Mutation(
        f"{CORE}/accounts/users.py",
        (
            '    notify(session, "address_changed", user, origin)\n'
            "    user.email, user.email_key = normalise(email)\n"
        ),
        (
            "    user.email, user.email_key = normalise(email)\n"
            '    notify(session, "address_changed", user, origin)\n'
        ),
        "gatehouse/tests/test_recovery.py told",
    ),
    "trace of a new address": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "email_changed", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_recovery.py proved",
    ),
    "trace of a proof": Mutation(
        f"{CORE}/accounts/registration.py",
        (
            '        one_time.retire(session, user.id, "verify")\n'
            '        record(session, "email_verified", origin.by(user.id), user_id=user.id)\n'
        ),
        '        one_time.retire(session, user.id, "verify")\n',
        "gatehouse/tests/test_registration.py proof_of",
    ),
    "account that is there, to who registers": Mutation(
        f"{CORE}/accounts/registration.py",
        "    unproved = user is None or (user.is_active and user.email_verified_at is None)\n",
        "    unproved = True\n",
        "gatehouse/tests/test_registration.py taken",
    ),
    "disabled account, to who registers": Mutation(
        f"{CORE}/accounts/registration.py",
        "user is None or (user.is_active and user.email_verified_at is None)\n",
        "user is None or user.email_verified_at is None\n",
        "gatehouse/tests/test_registration.py disabled",
    ),
    "hash in a job": Mutation(
        f"{CORE}/accounts/registration.py",
        "    job.registration_id, job.password_hash = pending.id, None\n",
        "    job.registration_id = pending.id\n",
        "gatehouse/tests/test_registration.py whose",
    ),
    "one registration of a job": Mutation(
        f"{CORE}/accounts/registration.py",
        "    if job.registration_id is not None:  # all but the mail was done before\n",
        "    if False:  # all but the mail was done before\n",
        "gatehouse/tests/test_registration.py whose",
    ),
    "oldest registration of a network": Mutation(
        f"{CORE}/accounts/registration.py",
        "next(row for row in oldest_first if row.network == made.network)",
        "oldest_first[0]",
        "gatehouse/tests/test_between.py bounded",
    ),
    "network that has most registrations": Mutation(
        f"{CORE}/accounts/registration.py",
        "next(row for row in oldest_first if row.network == busiest)",
        "oldest_first[0]",
        "gatehouse/tests/test_between.py bounded",
    ),
    "end of a registration": Mutation(
        f"{CORE}/accounts/registration.py",
        (
            "        PendingRegistration.digest == digest_of(token),\n"
            "        col(PendingRegistration.expires_at) > utc_now(),\n"
        ),
        "        PendingRegistration.digest == digest_of(token),\n",
        "gatehouse/tests/test_registration.py day",
    ),
    "registration that is over, mailed again": Mutation(
        f"{CORE}/accounts/registration.py",
        (
            "            col(PendingRegistration.expires_at) > utc_now(),\n"
            "        )\n        .order_by"
        ),
        "        )\n        .order_by",
        "gatehouse/tests/test_registration.py is_over",
    ),
    "newest registration, mailed again": Mutation(
        f"{CORE}/accounts/registration.py",
        "        .order_by(col(PendingRegistration.created_at).desc())\n",
        "        .order_by(col(PendingRegistration.created_at))\n",
        "gatehouse/tests/test_registration.py several",
    ),
    "link before the one that is mailed again": Mutation(
        f"{CORE}/accounts/registration.py",
        "    token, pending.digest = one_time.new_token()\n",
        "    token, digest = one_time.new_token()\n    pending.digest = pending.digest or digest\n",
        "gatehouse/tests/test_registration.py again",
    ),
    "proved account that is mailed no link": Mutation(
        f"{CORE}/accounts/registration.py",
        (
            "    if user is None or not user.is_active or user.email_verified_at is not None:\n"
            "        return None\n"
        ),
        "    if user is None or not user.is_active:\n        return None\n",
        "gatehouse/tests/test_registration.py needs_none",
    ),
    "disabled account that is mailed no link": Mutation(
        f"{CORE}/accounts/registration.py",
        (
            "    if user is None or not user.is_active or user.email_verified_at is not None:\n"
            "        return None\n"
        ),
        "    if user is None or user.email_verified_at is not None:\n        return None\n",
        "gatehouse/tests/test_registration.py needs_none",
    ),
    "password that a mailed link asks for": Mutation(
        f"{CORE}/accounts/registration.py",
        "    pending.wrong_passwords = 0\n"
        "    session.add(pending)\n"
        '    link = context.link("verify-email", token, ASK)\n',
        "    pending.wrong_passwords = 0\n"
        "    session.add(pending)\n"
        '    link = context.link("verify-email", token)\n',
        "gatehouse/tests/test_registration.py several",
    ),
    "share of wrong passwords of a link": Mutation(
        f"{CORE}/accounts/registration.py",
        "            col(table.wrong_passwords) < MOST_WRONG_PASSWORDS,\n",
        "",
        "gatehouse/tests/test_between.py ten_times",
    ),
    "password of an unproved account's link": Mutation(
        f"{CORE}/accounts/registration.py",
        "    return LinkPassword(user.email_key, user.password_hash)\n",
        "    return None\n",
        "gatehouse/tests/test_between.py there_asks",
    ),
    "account that a registration takes over, disabled": Mutation(
        f"{CORE}/accounts/registration.py",
        "    return user.is_active and user.email_verified_at is None and",
        "    return user.email_verified_at is None and",
        "gatehouse/tests/test_between.py proved_or_disabled",
    ),
    "account that a registration takes over, proved": Mutation(
        f"{CORE}/accounts/registration.py",
        "    return user.is_active and user.email_verified_at is None and",
        "    return user.is_active and",
        "gatehouse/tests/test_between.py proved_or_disabled",
    ),
    "account that a registration takes over, of a look-alike": Mutation(
        f"{CORE}/accounts/registration.py",
        " and user.email == pending.email\n",
        "\n",
        "gatehouse/tests/test_between.py look_alike",
    ),
    "order of an address's registrations": Mutation(
        f"{CORE}/accounts/registration.py",
        ".order_by(col(PendingRegistration.id)).with_for_update()",
        "",
        "gatehouse/tests/test_between.py at_once",
        postgresql=True,
    ),
    "other registrations of an address that is proved": Mutation(
        f"{CORE}/accounts/registration.py",
        (
            "        delete(PendingRegistration).where("
            "col(PendingRegistration.email_key) == found.email_key)\n"
        ),
        ("        delete(PendingRegistration).where(col(PendingRegistration.id) == found.id)\n"),
        "gatehouse/tests/test_registration.py several",
    ),
    "role of who registers": Mutation(
        f"{CORE}/accounts/registration.py",
        '        role="user",\n        email_verified_at=utc_now(),\n',
        '        role="admin",\n        email_verified_at=utc_now(),\n',
        "gatehouse/tests/test_registration.py proved",
    ),
    "trace of a registration": Mutation(
        f"{CORE}/accounts/registration.py",
        (
            '    record(session, "registered", origin.by(user.id), user_id=user.id)\n'
            '    record(session, "email_verified", origin.by(user.id), user_id=user.id)\n'
        ),
        '    record(session, "email_verified", origin.by(user.id), user_id=user.id)\n',
        "gatehouse/tests/test_registration.py event",
    ),
    "notice of an account that is taken over": Mutation(
        f"{CORE}/accounts/users.py",
        '    notify(session, "password_changed", user, origin)\n',
        "",
        "gatehouse/tests/test_between.py takes_over",
    ),
    "trace of an account that is taken over": Mutation(
        f"{CORE}/accounts/registration.py",
        '"password_reset", acting)',
        '"login", acting)',
        "gatehouse/tests/test_between.py takes_over",
    ),
    "proof behind a change of password": Mutation(
        f"{CORE}/routes/accounts.py",
        (
            "            locked = lock_confirmed(core, session, proved, caller, "
            "origin.network)\n"
            "            kept"
        ),
        (
            "            locked = users.lock_user(session, proved.user_id)\n"
            "            assert locked\n"
            "            kept"
        ),
        "gatehouse/tests/test_between.py under_way",
    ),
    "proof behind a deletion": Mutation(
        f"{CORE}/routes/accounts.py",
        (
            "            locked = lock_confirmed(core, session, proved, caller, "
            "origin.network)\n"
            "            users.delete"
        ),
        (
            "            locked = users.lock_user(session, proved.user_id)\n"
            "            assert locked\n"
            "            users.delete"
        ),
        "gatehouse/tests/test_between.py under_way",
    ),
    "trace of a new password": Mutation(
        f"{CORE}/routes/accounts.py",
        '"password_changed", origin, keep',
        '"login", origin, keep',
        "gatehouse/tests/test_recovery.py a_new",
    ),
    "notice of a new password": Mutation(
        f"{CORE}/accounts/users.py",
        '    notify(session, "password_changed", user, origin)\n',
        "",
        "gatehouse/tests/test_recovery.py a_new",
    ),
    "trace of a deletion": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "account_deleted", origin, user_id=user_id)\n',
        "",
        "gatehouse/tests/test_recovery.py deleted",
    ),
    "what a service does at a deletion": Mutation(
        f"{CORE}/accounts/users.py",
        "    hooks.on_deleted(session, user)\n",
        "",
        "gatehouse/tests/test_hooks.py service",
    ),
    "member that is not asked for": Mutation(
        f"{CORE}/routes/shared.py",
        '    model_config = ConfigDict(extra="forbid")\n',
        '    model_config = ConfigDict(extra="ignore")\n',
        "gatehouse/tests/test_registration.py member",
    ),
    "scope to read accounts": Mutation(
        f"{CORE}/routes/administration.py",
        'READ = requires("users:read")',
        'READ = requires("notes:read")',
        "gatehouse/tests/test_administration.py nobody",
    ),
    "scope to change accounts": Mutation(
        f"{CORE}/routes/administration.py",
        'Writer = Annotated[AccessToken, requires("users:write")]',
        'Writer = Annotated[AccessToken, requires("users:read")]',
        "gatehouse/tests/test_administration.py write",
    ),
    "role that there is not": Mutation(
        f"{CORE}/routes/administration.py",
        "    if change.role is not None and change.role not in core.roles:\n",
        "    if False:\n",
        "gatehouse/tests/test_administration.py offered",
    ),
    "trace of a new role": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "role_changed", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_administration.py loses",
    ),
    "trace of a disabled account": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "user_disabled", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_administration.py disabled",
    ),
    "trace of who is logged out by another": Mutation(
        f"{CORE}/accounts/sessions.py",
        '    record(session, "sessions_ended", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_administration.py everywhere",
    ),
    "sessions of the account alone": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    which = [col(LoginSession.user_id) == user.id]\n",
        "    which = [col(LoginSession.user_id).is_not(None)]\n",
        "gatehouse/tests/test_administration.py everywhere",
    ),
    "truth in JSON": Mutation(
        f"{CORE}/routes/administration.py",
        "    is_active: StrictBool | None = None\n",
        "    is_active: bool | None = None\n",
        "gatehouse/tests/test_administration.py offered",
    ),
    "null in a change": Mutation(
        f"{CORE}/routes/administration.py",
        "        if value is None:\n",
        "        if False:\n",
        "gatehouse/tests/test_administration.py offered",
    ),
    "most accounts of a page": Mutation(
        f"{CORE}/routes/administration.py",
        "Query(ge=1, le=100)",
        "Query(ge=1)",
        "gatehouse/tests/test_administration.py page",
    ),
    "trace of a disabling by a command": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "user_disabled", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_commands.py enabled",
    ),
    "trace of an enabling by a command": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "user_enabled", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_commands.py enabled",
    ),
    "trace of an account made by a command": Mutation(
        f"{CORE}/accounts/users.py",
        '    record(session, "user_created", origin, user_id=user.id)\n',
        "",
        "gatehouse/tests/test_commands.py input",
    ),
    "password that is typed twice": Mutation(
        f"{CORE}/cli/accounting.py",
        '    if password != getpass.getpass("The same again: "):\n',
        "    if False:\n",
        "gatehouse/tests/test_commands.py password",
    ),
    "file of which no row is refused": Mutation(
        f"{CORE}/cli/importing.py",
        "        if not refused and not only_look:\n",
        "        if not only_look:\n",
        "gatehouse/tests/test_importing.py taken",
    ),
    "look at a file that writes nothing": Mutation(
        f"{CORE}/cli/importing.py",
        "    only_look = bool(refused) or asked.dry_run\n",
        "    only_look = bool(refused)\n",
        "gatehouse/tests/test_importing.py dry_run",
    ),
    "address of a file that has an account": Mutation(
        f"{CORE}/cli/importing.py",
        '            refused[line_of[key]] = "its address already has an account"\n',
        "            pass\n",
        "gatehouse/tests/test_importing.py taken",
    ),
    "account made while a file is imported": Mutation(
        f"{CORE}/cli/importing.py",
        "        except IntegrityError:  # PostgreSQL",
        "        except ZeroDivisionError:  # PostgreSQL",
        "gatehouse/tests/test_importing.py meanwhile",
    ),
    "proof of an address in a file": Mutation(
        f"{CORE}/cli/importing.py",
        "        email_verified_at=now if row.verified else None,\n",
        "        email_verified_at=now,\n",
        "gatehouse/tests/test_importing.py ending",
    ),
    "trace of each imported account": Mutation(
        f"{CORE}/accounts/audit.py",
        "    session.execute(insert(AuditEvent), rows)\n",
        "",
        "gatehouse/tests/test_importing.py audit_row",
    ),
    "text of a hook's error at an import": Mutation(
        f"{CORE}/cli/accounting.py",
        "        name = type(error).__name__\n",
        "        name = str(error)\n",
        "gatehouse/tests/test_importing.py hook",
    ),
    "one account a file": Mutation(
        f"{CORE}/cli/import_file.py",
        "                if (first := first_line.setdefault(row.key, line)) != line:\n",
        "                first = line\n                if False:\n",
        "gatehouse/tests/test_importing.py starts",
    ),
    "hash that a login can check": Mutation(
        f"{CORE}/cli/import_row.py",
        "        check_hash(text)\n",
        "",
        "gatehouse/tests/test_importing.py bad_row",
    ),
    "roles of a file": Mutation(
        f"{CORE}/cli/import_row.py",
        "        if text not in roles:\n",
        "        if text is None:\n",
        "gatehouse/tests/test_importing.py bad_row",
    ),
    "unproved, unless a file says so": Mutation(
        f"{CORE}/cli/import_row.py",
        'Field(False, alias="email_verified")',
        'Field(True, alias="email_verified")',
        "gatehouse/tests/test_importing.py ending",
    ),
    "fields of a row": Mutation(
        f"{CORE}/cli/import_row.py",
        'ConfigDict(extra="forbid", frozen=True)',
        "ConfigDict(frozen=True)",
        "gatehouse/tests/test_importing.py no_account",
    ),
    "member that is there twice": Mutation(
        f"{CORE}/cli/import_file.py",
        "    if len(dict(pairs)) < len(pairs):\n",
        "    if False:\n",
        "gatehouse/tests/test_importing.py no_account",
    ),
    "column that is there twice": Mutation(
        f"{CORE}/cli/import_file.py",
        "    if len(set(cells)) < len(cells):\n",
        "    if False:\n",
        "gatehouse/tests/test_importing.py cannot_be_used",
    ),
    "columns of a header": Mutation(
        f"{CORE}/cli/import_file.py",
        "        if name not in COLUMNS:\n",
        "        if False:\n",
        "gatehouse/tests/test_importing.py cannot_be_used",
    ),
    "cells of a row": Mutation(
        f"{CORE}/cli/import_file.py",
        "        elif len(cells) == len(header):\n",
        "        elif cells:\n            cells = (cells + [''] * len(header))[: len(header)]\n",
        "gatehouse/tests/test_importing.py starts",
    ),
    "length of a line": Mutation(
        f"{CORE}/cli/import_file.py",
        "        if len(raw) > MAX_LINE:\n",
        "        if False:\n",
        "gatehouse/tests/test_importing.py cannot_be_used",
    ),
    "NUL in a file": Mutation(
        f"{CORE}/cli/import_file.py",
        '        if "\\0" in text:\n',
        "        if False:\n",
        "gatehouse/tests/test_importing.py cannot_be_used",
    ),
    "values in what is said of a row": Mutation(
        f"{CORE}/cli/import_row.py",
        'raise BadRow("its email is not an e-mail address") from None',
        'raise BadRow(f"its email {text} is not an e-mail address") from None',
        "gatehouse/tests/test_importing.py bad_row",
    ),
    "compatibility forms of an address": Mutation(
        f"{CORE}/accounts/addresses.py",
        'unicodedata.normalize("NFKC", address.strip())',
        "address.strip()",
        "gatehouse/tests/test_addresses.py spellings",
    ),
    "letter case of an address": Mutation(
        f"{CORE}/accounts/addresses.py",
        "found.local_part.casefold()",
        "found.local_part",
        "gatehouse/tests/test_login.py spelling",
    ),
    "full folding of letters": Mutation(
        f"{CORE}/accounts/addresses.py",
        "found.local_part.casefold()",
        "found.local_part.lower()",
        "gatehouse/tests/test_addresses.py spellings",
    ),
    "domain of an address in ASCII": Mutation(
        f"{CORE}/accounts/addresses.py",
        "(found.ascii_domain or found.domain).lower()",
        "found.domain.lower()",
        "gatehouse/tests/test_addresses.py spellings",
    ),
    "character that cannot be seen": Mutation(
        f"{CORE}/accounts/addresses.py",
        "    if holds_invisible(kept):\n",
        "    if False:\n",
        "gatehouse/tests/test_addresses.py invisible",
    ),
    "variation selectors": Mutation(
        f"{CORE}/accounts/invisible.py",
        "\\ufe00-\\ufe0f",
        "",
        "gatehouse/tests/test_addresses.py character",
    ),
    "text that is no address": Mutation(
        f"{CORE}/accounts/addresses.py",
        (
            "        return f\"no address {sha256(text.encode('utf-8', 'surrogatepass'))"
            '.hexdigest()}"\n'
        ),
        "        return text\n",
        "gatehouse/tests/test_addresses.py every_database",
    ),
    "earlier change of address, when a later one is asked for": Mutation(
        f"{CORE}/accounts/recovery.py",
        "    session.execute(waiting)\n",
        "",
        "gatehouse/tests/test_between.py later_one",
    ),
    "link that is mailed again while it is used": Mutation(
        f"{CORE}/accounts/registration.py",
        ", col(PendingRegistration.digest) == found.digest",
        "",
        "gatehouse/tests/test_between.py while_it_is_used",
    ),
    "character that cannot be seen, at a registration": Mutation(
        f"{CORE}/routes/registration.py",
        "    email: Address\n    password",
        "    email: KnownAddress\n    password",
        "gatehouse/tests/test_registration.py cannot_be_seen",
    ),
    "character that cannot be seen, at a change of address": Mutation(
        f"{CORE}/routes/accounts.py",
        "    new_email: Address\n",
        "    new_email: str\n",
        "gatehouse/tests/test_recovery.py cannot_be_seen",
    ),
    "password that a change of address does not ask for": Mutation(
        f"{CORE}/accounts/registration.py",
        'one_time.holder(session, token, "verify")\n',
        'one_time.holder(session, token, "verify", "change_email")\n',
        "gatehouse/tests/test_recovery.py asks_for_no",
    ),
    "stamp of an earlier release's job": Mutation(
        f"{CORE}/migrations/versions/0004_stamps.py",
        '    op.execute("UPDATE gatehouse_errand SET stamp = 0 WHERE user_id IS NOT NULL")\n',
        "",
        "gatehouse/tests/test_data.py overtook",
    ),
    "notices of an earlier release": Mutation(
        f"{CORE}/migrations/versions/0004_stamps.py",
        'job.c.kind == "change_email", later',
        "later",
        "gatehouse/tests/test_data.py overtook",
    ),
    "earlier link, when the later address is taken": Mutation(
        f"{CORE}/accounts/recovery.py",
        '    one_time.retire(session, user.id, "change_email")\n',
        "",
        "gatehouse/tests/test_recovery.py does_not_tell",
    ),
    "address that was taken meanwhile": Mutation(
        f"{CORE}/routes/recovery.py",
        "    except (BadOneTimeToken, IntegrityError, BadAddress):\n",
        "    except (BadOneTimeToken, BadAddress):\n",
        "gatehouse/tests/test_recovery.py meanwhile",
    ),
    "text that the grammar of addresses refuses": Mutation(
        f"{CORE}/accounts/addresses.py",
        '        raise BadAddress("this is not an e-mail address") from None\n',
        "        return address, address\n",
        "gatehouse/tests/test_addresses.py none_for_anybody",
    ),
}

ARGUED = {
    "earlier change of address that waits": Argued(
        Mutation(
            f"{CORE}/accounts/recovery.py",
            "    if is_superseded(session, job):\n        return None\n    taken",
            "    taken",
            "gatehouse/tests/test_recovery.py",
        ),
        f"{CORE}/accounts/recovery.py",
        "    session.execute(waiting)\n",
        "earlier change of address, when a later one is asked for",
    ),
    "registration that was used meanwhile": Argued(
        Mutation(
            f"{CORE}/accounts/registration.py",
            "    if not session.execute(used).rowcount:  # type: ignore[attr-defined]\n",
            "    session.execute(used)\n    if False:\n",
            "gatehouse/tests/test_between.py at_once",
            postgresql=True,
        ),
        f"{CORE}/routes/recovery.py",
        "except (BadOneTimeToken, IntegrityError, BadAddress):",
        "address that was taken meanwhile",
    ),
    "all or nothing of a file": Argued(
        Mutation(
            f"{CORE}/cli/importing.py",
            "    only_look = bool(refused) or asked.dry_run\n",
            "    only_look = asked.dry_run\n",
            "gatehouse/tests/test_importing.py refuse",
        ),
        f"{CORE}/cli/importing.py",
        "        if not refused and not only_look:\n",
        "file of which no row is refused",
    ),
    "length of an address": Argued(
        Mutation(
            f"{CORE}/accounts/addresses.py",
            "    if len(address) > MAX_LENGTH:\n",
            "    if False:\n",
            "gatehouse/tests/test_addresses.py",
        ),
        f"{CORE}/accounts/addresses.py",
        'raise BadAddress("this is not an e-mail address") from None',
        "text that the grammar of addresses refuses",
    ),
    "end of a link, when it is looked at first": Argued(
        Mutation(
            f"{CORE}/accounts/one_time.py",
            (
                "            col(OneTimeToken.expires_at) > utc_now(),\n"
                "            col(OneTimeToken.stamp) == col(User.stamp),\n"
            ),
            "            col(OneTimeToken.stamp) == col(User.stamp),\n",
            "gatehouse/tests/test_recovery.py",
        ),
        f"{CORE}/accounts/one_time.py",
        "            col(OneTimeToken.expires_at) > utc_now(),\n        )\n        .returning",
        "end of a link, when it is used",
    ),
    "purpose of a link, when it is looked at first": Argued(
        Mutation(
            f"{CORE}/accounts/one_time.py",
            (
                "            col(OneTimeToken.purpose).in_(purposes),\n"
                "            col(OneTimeToken.expires_at) > utc_now(),\n"
            ),
            "            col(OneTimeToken.expires_at) > utc_now(),\n",
            "gatehouse/tests/test_recovery.py",
        ),
        f"{CORE}/accounts/one_time.py",
        (
            "            col(OneTimeToken.purpose).in_(purposes),\n"
            "            col(OneTimeToken.stamp) == user.stamp,\n"
        ),
        "purpose of a link, when it is used",
    ),
    "stamp of a link, when it is looked at first": Argued(
        Mutation(
            f"{CORE}/accounts/one_time.py",
            "            col(OneTimeToken.stamp) == col(User.stamp),\n",
            "",
            "gatehouse/tests/test_between.py link",
        ),
        f"{CORE}/accounts/one_time.py",
        "            col(OneTimeToken.stamp) == user.stamp,\n",
        "stamp of a link, in the transaction that acts",
    ),
    "disabled account of a link, when it is looked at first": Argued(
        Mutation(
            f"{CORE}/accounts/one_time.py",
            "            col(User.is_active).is_(True),\n",
            "",
            "gatehouse/tests/test_recovery.py disabled",
        ),
        f"{CORE}/accounts/one_time.py",
        "    if row is None or not user.is_active:\n",
        "disabled account of a link",
    ),
    "other links of an address that is proved": Argued(
        Mutation(
            f"{CORE}/accounts/registration.py",
            '        one_time.retire(session, user.id, "verify")\n',
            "",
            "gatehouse/tests/test_registration.py",
        ),
        f"{CORE}/accounts/one_time.py",
        "    retire(session, user.id, purpose)\n",
        "retirement of an older link",
    ),
}
