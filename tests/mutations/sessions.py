"""Sessions: how long they live, who ends them, who hears of it, and what is kept of them."""

from mutations import CORE, Argued, Mutation

SESSIONS = "gatehouse/tests/test_sessions.py"
REFRESH = "gatehouse/tests/test_refresh.py"
REVOCATION = "gatehouse/tests/test_revocation.py"
BETWEEN = "gatehouse/tests/test_between.py"
GROWTH = "gatehouse/tests/test_growth.py"
DATA = "gatehouse/tests/test_data.py"
COMMANDS = "gatehouse/tests/test_commands.py"
LOGIN = "gatehouse/tests/test_login.py"

MUTATIONS = {
    "entry that became fresh while cleaning waited": Mutation(
        f"{CORE}/accounts/cleaning.py",
        "col(key).in_(old.limit(BATCH)), over)",
        "col(key).in_(old.limit(BATCH)))",
        "gatehouse/tests/test_revocation.py became_fresh",
        postgresql=True,
    ),
    "end of a session": Mutation(
        f"{CORE}/accounts/sessions.py",
        "        col(LoginSession.expires_at) > now,\n",
        "",
        f"{REFRESH} thirty_days or session",
    ),
    "rest of a session": Mutation(
        f"{CORE}/accounts/sessions.py",
        "        col(LoginSession.last_used_at) > unused_since,\n",
        "",
        f"{REFRESH} used or weeks",
    ),
    "stamp of a session": Mutation(
        f"{CORE}/accounts/sessions.py",
        "        col(LoginSession.stamp) == stamp,\n",
        "",
        f"{SESSIONS} still_there",
    ),
    "epoch of a session": Mutation(
        f"{CORE}/accounts/sessions.py",
        "        col(LoginSession.epoch) >= epoch,\n",
        "",
        f"{SESSIONS} still_there",
    ),
    "days of a session": Mutation(
        f"{CORE}/accounts/logins.py",
        "        expires_at=now + timedelta(days=days),\n",
        "        expires_at=now + timedelta(days=days + 1),\n",
        f"{REFRESH} thirty_days",
    ),
    "own sessions in the list": Mutation(
        f"{CORE}/accounts/sessions.py",
        ".where(LoginSession.user_id == user_id, *is_live(idle))",
        ".where(*is_live(idle))",
        f"{SESSIONS} list",
    ),
    "live sessions in the list": Mutation(
        f"{CORE}/accounts/sessions.py",
        ".where(LoginSession.user_id == user_id, *is_live(idle))",
        ".where(LoginSession.user_id == user_id)",
        f"{SESSIONS} still_there",
    ),
    "ended sessions on the list": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    end_sessions_on_list(session, ended)\n",
        "",
        f"{SESSIONS} log_out",
    ),
    "sessions of one account": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    gone = delete(LoginSession).where(col(LoginSession.user_id) == user_id)\n",
        "    gone = delete(LoginSession)\n",
        "gatehouse/tests/test_recovery.py opens_none",
    ),
    "sessions beyond the most": Mutation(
        f"{CORE}/accounts/logins.py",
        "        end_sessions(session, col(LoginSession.id).in_(surplus))\n",
        "        pass\n",
        f"{SESSIONS} most",
    ),
    "session that is unused longest": Mutation(
        f"{CORE}/accounts/logins.py",
        "newest_first = col(LoginSession.last_used_at).desc()",
        "newest_first = col(LoginSession.last_used_at)",
        f"{SESSIONS} most",
    ),
    "surplus of one account": Mutation(
        f"{CORE}/accounts/logins.py",
        "select(LoginSession.id).where(LoginSession.user_id == user.id)",
        "select(LoginSession.id)",
        f"{SESSIONS} most",
    ),
    "session of another account, ended by its id": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    if login is None or login.user_id != user.id:\n",
        "    if login is None:\n",
        f"{SESSIONS} another",
    ),
    "session that ends the others": Mutation(
        f"{CORE}/accounts/sessions.py",
        "        which.append(col(LoginSession.id) != but)\n",
        "        pass\n",
        f"{SESSIONS} others",
    ),
    "others of the account that asks": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    which = [col(LoginSession.user_id) == user.id]\n",
        "    which = [col(LoginSession.user_id).is_not(None)]\n",
        f"{SESSIONS} others",
    ),
    "live session that ends another": Mutation(
        f"{CORE}/routes/sessions.py",
        "require_open(core, session, held, caller), session_id",
        "held, session_id",
        f"{BETWEEN} heard_of",
    ),
    "live session that ends all others": Mutation(
        f"{CORE}/routes/sessions.py",
        "user = require_open(core, session, held, caller)",
        "user = held",
        f"{BETWEEN} heard_of",
    ),
    "trace of a log-out": Mutation(
        f"{CORE}/accounts/sessions.py",
        '    record(session, "logout", acting, user_id=login.user_id, session_id=login.id)\n',
        "",
        f"{SESSIONS} each_end",
    ),
    "trace of an ended session": Mutation(
        f"{CORE}/accounts/sessions.py",
        '    record(session, "sessions_ended", origin, user_id=user.id, session_id=session_id)\n',
        "",
        f"{SESSIONS} each_end",
    ),
    "trace of all ended sessions": Mutation(
        f"{CORE}/accounts/sessions.py",
        '    record(session, "sessions_ended", origin, user_id=user.id)\n',
        "",
        f"{SESSIONS} each_end",
    ),
    "log-out by an access token that is checked": Mutation(
        f"{CORE}/routes/sessions.py",
        "        return core.tokens.read(token).session_id\n",
        (
            "        import jwt\n\n"
            '        claims = jwt.decode(token, options={"verify_signature": False})\n'
            '        return UUID(claims["sid"])\n'
        ),
        f"{SESSIONS} unknown or harms",
    ),
    "random bits of a refresh token": Mutation(
        f"{CORE}/accounts/refresh.py",
        "    body = PREFIX + secrets.token_urlsafe(32)\n",
        '    body = PREFIX + secrets.token_urlsafe(8).ljust(43, "A")\n',
        f"{REFRESH} prefix",
    ),
    "digest of a refresh token": Mutation(
        f"{CORE}/accounts/refresh.py",
        "    return sha256(token.encode()).hexdigest()\n",
        "    return token\n",
        f"{REFRESH} lies_nowhere",
    ),
    "disabled account that refreshes": Mutation(
        f"{CORE}/accounts/refresh.py",
        "owner is None or user is None or not user.is_active",
        "owner is None or user is None",
        f"{REFRESH} disabled",
    ),
    "live session that refreshes": Mutation(
        f"{CORE}/accounts/refresh.py",
        '.where(LoginSession.id == bindparam("session_id"), *is_live)',
        '.where(LoginSession.id == bindparam("session_id"))',
        f"{REFRESH} session",
    ),
    "window of grace": Mutation(
        f"{CORE}/accounts/refresh.py",
        "parent.retired_at is None or parent.retired_at <= since or not",
        "parent.retired_at is None or not",
        f"{REFRESH} window",
    ),
    "window of one generation": Mutation(
        f"{CORE}/accounts/refresh.py",
        "return successor if child is not None and child.retired_at is None else None",
        "return successor if child is not None else None",
        f"{REFRESH} generation",
    ),
    "key of a sealed successor": Mutation(
        f"{CORE}/accounts/refresh.py",
        ".derive(token.encode())",
        '.derive(b"successor")',
        f"{REFRESH} exchanged",
    ),
    "use of a session": Mutation(
        f"{CORE}/accounts/refresh.py",
        '        session.execute(_use(), {"session_id": login.id, "now": now})\n',
        "",
        f"{REFRESH} use",
    ),
    "end of a session whose token came back": Mutation(
        f"{CORE}/accounts/refresh.py",
        "            end_session(session, login.id)\n",
        "",
        f"{REFRESH} ends",
    ),
    "trace of a token that came back": Mutation(
        f"{CORE}/accounts/refresh.py",
        (
            '            record(session, "refresh_reuse", origin, user_id=user.id, '
            "session_id=login.id)\n"
        ),
        "",
        f"{REFRESH} ends",
    ),
    "scopes of the role at a refresh": Mutation(
        f"{CORE}/accounts/refresh.py",
        ("frozenset(login.scope.split()) & frozenset(core.roles.get(user.role, ()))\n"),
        "frozenset(login.scope.split())\n",
        f"{REFRESH} scope",
    ),
    "scopes of the login at a refresh": Mutation(
        f"{CORE}/accounts/refresh.py",
        ("frozenset(login.scope.split()) & frozenset(core.roles.get(user.role, ()))\n"),
        "frozenset(core.roles.get(user.role, ()))\n",
        f"{REFRESH} grant or widens",
    ),
    "scopes that nothing is left of at a refresh": Mutation(
        f"{CORE}/accounts/refresh.py",
        "            if not scopes and is_usable(session, token, core.lifetimes.grace):\n",
        "            if False:\n",
        f"{REFRESH} widens",
    ),
    "trace of a refresh": Mutation(
        f"{CORE}/accounts/refresh.py",
        '        record(session, "refresh", acting, user_id=user.id, session_id=login.id)\n',
        "",
        f"{REFRESH} new_pair",
    ),
    "trace of a login": Mutation(
        f"{CORE}/accounts/logins.py",
        '        record(session, "login", acting, user_id=user.id, session_id=login.id)\n',
        "",
        f"{SESSIONS} events",
    ),
    "login that ends in nothing": Mutation(
        f"{CORE}/accounts/logins.py",
        "            users.note_failure(session, key, proved.user_id, origin)\n",
        "",
        f"{BETWEEN} login_under_way",
    ),
    "notice of failures before a login": Mutation(
        f"{CORE}/accounts/logins.py",
        '            notify(session, "login_after_failures", user, origin)\n',
        "            pass\n",
        "gatehouse/tests/test_recovery.py failures",
    ),
    "scopes asked for at a login": Mutation(
        f"{CORE}/accounts/logins.py",
        (
            "        if asked is not None:\n"
            "            scopes &= asked\n"
            "        if user is None or (asked is not None and not scopes):\n"
        ),
        "        if user is None:\n",
        f"{LOGIN} scope",
    ),
    "scope that does not exist": Mutation(
        f"{CORE}/routes/token.py",
        "    if asked is not None and not asked <= core.scopes.keys():\n",
        "    if False:\n",
        f"{LOGIN} does_not_exist",
    ),
    "answer that no cache keeps": Mutation(
        f"{CORE}/routes/token.py",
        '    response.headers["Pragma"] = "no-cache"\n',
        "",
        f"{LOGIN} answers",
    ),
    "media type of a form": Mutation(
        f"{CORE}/routes/forms.py",
        ('media_type.strip().lower() != "application/x-www-form-urlencoded" or charset not in ('),
        "charset not in (",
        f"{LOGIN} 415",
    ),
    "charset of a form": Mutation(
        f"{CORE}/routes/forms.py",
        '        "utf-8",\n    ):\n',
        "        charset,\n    ):\n",
        f"{LOGIN} 415",
    ),
    "parameter that is there twice": Mutation(
        f"{CORE}/routes/forms.py",
        "    if len(form) != len(pairs):\n",
        "    if False:\n",
        f"{LOGIN} form",
    ),
    "text of a form that is no UTF-8": Mutation(
        f"{CORE}/routes/forms.py",
        '            errors="strict",\n',
        '            errors="replace",\n',
        f"{LOGIN} form",
    ),
    "bytes of a form that are not ASCII": Mutation(
        f"{CORE}/routes/forms.py",
        '            body.decode("ascii"),\n',
        '            body.decode("latin-1"),\n',
        f"{LOGIN} form",
    ),
    "most parameters of a form": Mutation(
        f"{CORE}/routes/forms.py",
        "            max_num_fields=MAX_FIELDS,\n",
        "",
        f"{LOGIN} form",
    ),
    "row of an ended session": Mutation(
        f"{CORE}/accounts/stamps.py",
        '            {"session_id": session_id, "ended_at": ended_at, "position": position}\n',
        '            {"session_id": UUID(int=0), "ended_at": ended_at, "position": position}\n',
        f"{SESSIONS} another_process",
    ),
    "note of an ended session": Mutation(
        f"{CORE}/accounts/stamps.py",
        "    _note(session, ended)\n\n\ndef raise_stamp",
        "\n\ndef raise_stamp",
        f"{SESSIONS} log_out",
    ),
    "row of an ended account": Mutation(
        f"{CORE}/accounts/stamps.py",
        '        "stamp": stamp,\n',
        '        "stamp": 0,\n',
        f"{REVOCATION} those",
    ),
    "exception in the row of an account": Mutation(
        f"{CORE}/accounts/stamps.py",
        '        "excepted_session_id": excepted,\n',
        '        "excepted_session_id": None,\n',
        f"{REVOCATION} those",
    ),
    "stamp of a deleted account": Mutation(
        f"{CORE}/accounts/stamps.py",
        "    _put_account(session, user_id, stamp + 1, None)\n",
        "    _put_account(session, user_id, stamp, None)\n",
        f"{REVOCATION} deleted",
    ),
    "stamp that the database counts": Mutation(
        f"{CORE}/accounts/stamps.py",
        '    user.stamp = cast("int", col(User.stamp) + 1)\n',
        "    user.stamp += 1\n",
        f"{REVOCATION} rises",
    ),
    "note of everyone out": Mutation(
        f"{CORE}/accounts/stamps.py",
        "    _note(session, Ended(epoch=epoch))\n",
        "",
        f"{REVOCATION} notes",
    ),
    "epoch that rises": Mutation(
        f"{CORE}/accounts/stamps.py",
        "values(epoch=col(ServiceEpoch.epoch) + 1)",
        "values(epoch=1)",
        f"{REVOCATION} everyone",
    ),
    "position after the highest": Mutation(
        f"{CORE}/accounts/stamps.py",
        "max(int(time.time()), last_position(session) + 1)",
        "int(time.time())",
        f"{REVOCATION} those",
    ),
    "position that rises after a cleanup": Mutation(
        f"{CORE}/accounts/stamps.py",
        "max(int(time.time()), last_position(session) + 1)",
        "last_position(session) + 1",
        f"{REVOCATION} cleanup",
    ),
    "epoch held by a login": Mutation(
        f"{CORE}/accounts/users.py",
        "        proved.epoch == _EPOCH,\n",
        "",
        f"{BETWEEN} login_under_way",
    ),
    "single sessions on the list": Mutation(
        f"{CORE}/accounts/revocation.py",
        "if token.session_id in self._sessions or token.epoch < self._epoch:",
        "if token.epoch < self._epoch:",
        f"{SESSIONS} log_out",
    ),
    "how far the list looks back": Mutation(
        f"{CORE}/accounts/revocation.py",
        "        self._keep = lifetime + OVERLAP\n",
        "        self._keep = lifetime\n",
        f"{REVOCATION} first",
    ),
    "how long the list keeps what ended": Mutation(
        f"{CORE}/accounts/revocation.py",
        "        limit = time.monotonic() - self._keep\n",
        "        limit = time.monotonic() - 60\n",
        f"{REVOCATION} forget",
    ),
    "sessions that the list forgets": Mutation(
        f"{CORE}/accounts/revocation.py",
        "                del self._sessions[session_id]\n",
        "                pass\n",
        f"{REVOCATION} forgets",
    ),
    "accounts that the list forgets": Mutation(
        f"{CORE}/accounts/revocation.py",
        "                del self._accounts[user_id]\n",
        "                pass\n",
        f"{REVOCATION} forgets",
    ),
    "limit of an old list": Mutation(
        f"{CORE}/accounts/revocation.py",
        (
            "        if time.monotonic() - self._read_at > self._max_stale:\n"
            "            raise RevocationStale\n"
        ),
        "",
        f"{REVOCATION} limit or never_read",
    ),
    "list that could not be read": Mutation(
        f"{CORE}/accounts/revocation.py",
        "        else:\n            self._read_at, self._lost = started, False\n        finally:\n",
        "        finally:\n            self._read_at, self._lost = started, False\n",
        f"{REVOCATION} limit or never_read",
    ),
    "interval of the list": Mutation(
        f"{CORE}/accounts/revocation.py",
        "        return time.monotonic() - self._read_at < self._interval\n",
        "        return time.monotonic() - self._read_at < self._max_stale\n",
        f"{SESSIONS} interval",
    ),
    "what an older release has ended": Mutation(
        f"{CORE}/accounts/revocation.py",
        "                            col(EndedSession.position) == 0,\n",
        "                            col(EndedSession.position) == -1,\n",
        f"{REVOCATION} older_release",
    ),
    "database from a backup": Mutation(
        f"{CORE}/accounts/revocation.py",
        "                self._seen = None  # another",
        "                pass  # another",
        f"{REVOCATION} backup",
    ),
    "place that is read before the rows": Mutation(
        f"{CORE}/accounts/revocation.py",
        "        self._seen = seen\n        self._forget()\n",
        (
            "        with self._database.look() as session:\n"
            "            self._seen, _ = self._place(session)\n"
            "        self._forget()\n"
        ),
        f"{REVOCATION} query",
    ),
    "epoch that the list has heard of": Mutation(
        f"{CORE}/accounts/revocation.py",
        "self.note([Ended(session_ids=tuple(sessions), epoch=epoch)])",
        "self.note([Ended(session_ids=tuple(sessions))])",
        f"{REVOCATION} everyone",
    ),
    "epoch that never falls": Mutation(
        f"{CORE}/accounts/revocation.py",
        "                self._epoch = max(self._epoch, one.epoch)\n",
        "                self._epoch = one.epoch\n",
        f"{REVOCATION} everyone",
    ),
    "transaction that commits late": Mutation(
        f"{CORE}/accounts/revocation.py",
        "            return and_(col(table.position) >= _first(self._seen), not_seen)\n",
        (
            '            last = int(self._seen.split(":")[1])\n'
            "            return and_(col(table.position) >= last, not_seen)\n"
        ),
        f"{REVOCATION} late",
        postgresql=True,
    ),
    "how long ended sessions are kept": Mutation(
        f"{CORE}/accounts/cleaning.py",
        "ENDED_KEPT = timedelta(days=2)",
        "ENDED_KEPT = timedelta(minutes=20)",
        f"{GROWTH} cleaning_ends",
    ),
    "end of what has ended": Mutation(
        f"{CORE}/accounts/cleaning.py",
        ("        (EndedSession, EndedSession.session_id, col(EndedSession.ended_at) < ended),\n"),
        "",
        f"{GROWTH} cleaning_ends",
    ),
    "end of entries of accounts": Mutation(
        f"{CORE}/accounts/cleaning.py",
        ("        (EndedAccount, EndedAccount.user_id, col(EndedAccount.ended_at) < ended),\n"),
        "",
        f"{GROWTH} cleaning_ends",
    ),
    "end of old events": Mutation(
        f"{CORE}/accounts/cleaning.py",
        "        (AuditEvent, AuditEvent.id, col(AuditEvent.time) < now - EVENTS_KEPT),\n",
        "",
        f"{REFRESH} what_is_over",
    ),
    "how long events are kept": Mutation(
        f"{CORE}/accounts/cleaning.py",
        "EVENTS_KEPT = timedelta(days=365)",
        "EVENTS_KEPT = timedelta(days=30)",
        f"{REFRESH} what_is_over",
    ),
    "end of addresses in events": Mutation(
        f"{CORE}/accounts/cleaning.py",
        'yield named, anonymous.values(ip="", network="", user_agent="")',
        'yield named, anonymous.values(ip="")',
        f"{REFRESH} what_is_over",
    ),
    "end of seals": Mutation(
        f"{CORE}/accounts/cleaning.py",
        "    yield sealed, opened.values(sealed_successor=None)\n",
        "",
        f"{REFRESH} what_is_over",
    ),
    "end of links": Mutation(
        f"{CORE}/accounts/cleaning.py",
        "        (OneTimeToken, OneTimeToken.digest, col(OneTimeToken.expires_at) < now),\n",
        "",
        f"{GROWTH} cleaning_ends",
    ),
    "end of registrations": Mutation(
        f"{CORE}/accounts/cleaning.py",
        (
            "        (PendingRegistration, PendingRegistration.id, "
            "col(PendingRegistration.expires_at) < now),\n"
        ),
        "",
        f"{GROWTH} cleaning_ends",
    ),
    "cleaning on the way": Mutation(
        f"{CORE}/routes/grants.py",
        "            await _clean(core)\n",
        "            pass\n",
        f"{REFRESH} some_of_what",
    ),
    "printable name of a client": Mutation(
        f"{CORE}/throttling/origin.py",
        '"".join(c for c in agent if c.isprintable())[:USER_AGENT_LENGTH]',
        "agent[:USER_AGENT_LENGTH]",
        f"{SESSIONS} events",
    ),
    "length of a client's name": Mutation(
        f"{CORE}/throttling/origin.py",
        "if c.isprintable())[:USER_AGENT_LENGTH]",
        "if c.isprintable())",
        f"{SESSIONS} events",
    ),
    "row of an event": Mutation(
        f"{CORE}/accounts/audit.py",
        "    session.add(AuditEvent(event=event, user_id=user_id, session_id=session_id, "
        "**asdict(origin)))\n",
        "",
        f"{SESSIONS} tokens",
    ),
    "line of an event": Mutation(
        f"{CORE}/accounts/audit.py",
        '    log.info("%s", event, extra={"fields": fields})\n\n\ndef record_many',
        "\n\ndef record_many",
        f"{COMMANDS} audit_line",
    ),
    "everyone out by a command": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    raise_epoch(session)\n",
        "",
        f"{COMMANDS} everyone",
    ),
    "trace of everyone out": Mutation(
        f"{CORE}/accounts/sessions.py",
        '    record(session, "sessions_ended", origin)\n',
        "",
        f"{COMMANDS} everyone",
    ),
    "one account or everyone": Mutation(
        f"{CORE}/cli/administering.py",
        "    if bool(asked.email) == asked.all:\n",
        "    if False:\n",
        f"{COMMANDS} usage",
    ),
    "sessions of one account by a command": Mutation(
        f"{CORE}/accounts/sessions.py",
        "    which = [col(LoginSession.user_id) == user.id]\n",
        "    which = [col(LoginSession.user_id).is_not(None)]\n",
        f"{COMMANDS} everyone",
    ),
    "trace of ended sessions by a command": Mutation(
        f"{CORE}/accounts/sessions.py",
        '    record(session, "sessions_ended", origin, user_id=user.id)\n',
        "",
        f"{COMMANDS} everyone",
    ),
    "keys that refer to rows": Mutation(
        f"{CORE}/store/database.py",
        "{'ON' if foreign_keys else 'OFF'}",
        "OFF",
        f"{DATA} sqlite or user",
    ),
    "values in an error of SQLite": Mutation(
        f"{CORE}/store/database.py",
        "        url,\n        hide_parameters=True,\n",
        "        url,\n",
        f"{DATA} shows_no_value",
    ),
    "values in an error of PostgreSQL": Mutation(
        f"{CORE}/store/database.py",
        "        _with_limits(url),\n        hide_parameters=True,\n",
        "        _with_limits(url),\n",
        f"{DATA} shows_no_value",
        postgresql=True,
    ),
    "readers of a new file": Mutation(
        f"{CORE}/store/database.py",
        "os.O_CREAT | os.O_EXCL, 0o600",
        "os.O_CREAT | os.O_EXCL, 0o644",
        f"{DATA} owner",
    ),
    "turn of a write": Mutation(
        f"{CORE}/store/database.py",
        '"BEGIN IMMEDIATE" if write else "BEGIN"',
        '"BEGIN"',
        f"{DATA} turn",
    ),
    "limit of a statement": Mutation(
        f"{CORE}/store/database.py",
        '        limit = f"SET LOCAL statement_timeout = {statement_limit * 1000}"\n',
        "        pass\n",
        f"{DATA} limit",
        postgresql=True,
    ),
    "wait for a connection to PostgreSQL": Mutation(
        f"{CORE}/store/database.py",
        '        "connect_timeout": str(CONNECT_WAIT),\n',
        "",
        f"{DATA} postgresql",
    ),
    "what is told after a commit": Mutation(
        f"{CORE}/store/database.py",
        "        self.committed(noted)\n",
        "        pass\n",
        f"{SESSIONS} log_out",
    ),
    "rows of one moment in two pages": Mutation(
        f"{CORE}/store/paging.py",
        "statement.where(place > tuple_(_moment(moment), row_id))",
        "statement.where(col(table.created_at) > _moment(moment))",
        "gatehouse/tests/test_administration.py moment",
    ),
    "form of a cursor": Mutation(
        f"{CORE}/store/paging.py",
        "    if not found:\n",
        "    if False:\n",
        "gatehouse/tests/test_administration.py cannot_be",
    ),
    "refresh token that is known": Mutation(
        f"{CORE}/accounts/refresh.py",
        '    return found.where(RefreshToken.digest == bindparam("token"))\n',
        "    return found\n",
        f"{REFRESH} no_refresh_token",
    ),
    "proof of an address at a refresh": Mutation(
        f"{CORE}/accounts/refresh.py",
        "    if verified and user.email_verified_at is None:\n        raise BadRefreshToken\n",
        "",
        f"{REFRESH} proved",
    ),
    "clock of the database in a cleanup": Mutation(
        f"{CORE}/accounts/cleaning.py",
        "(func.now() if is_remote else now) - ENDED_KEPT",
        "now - ENDED_KEPT",
        f"{GROWTH} cleaning_ends",
        postgresql=True,
    ),
}

KNOWN = '.where(RefreshToken.digest == bindparam("token"))'
ARGUED = {
    "form of a refresh token": Argued(
        Mutation(
            f"{CORE}/accounts/refresh.py",
            "    if not _FORM.fullmatch(text):\n        return False\n",
            "",
            f"{REFRESH} no_refresh_token",
        ),
        f"{CORE}/accounts/refresh.py",
        KNOWN,
        "refresh token that is known",
    ),
    "checksum of a refresh token": Argued(
        Mutation(
            f"{CORE}/accounts/refresh.py",
            '    return f"{zlib.crc32(text[:-8].encode()):08x}" == text[-8:]\n',
            "    return True\n",
            f"{REFRESH} no_refresh_token or checksum",
        ),
        f"{CORE}/accounts/refresh.py",
        KNOWN,
        "refresh token that is known",
    ),
}
