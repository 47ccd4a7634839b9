"""Passwords: which are good, how they are hashed and checked, and what a wrong one leaves."""

from mutations import CORE, Argued, Mutation

POLICY = "gatehouse/tests/test_password_policy.py"
HASHES = "gatehouse/tests/test_passwords.py"
SHARES = "gatehouse/tests/test_hash_shares.py"
QUEUE = "gatehouse/tests/test_password_queue.py"
THREADS = "gatehouse/tests/test_hash_threads.py"
LOGIN = "gatehouse/tests/test_login.py"
BETWEEN = "gatehouse/tests/test_between.py"

MUTATIONS = {
    "hash of a password that fits nobody": Mutation(
        f"{CORE}/hashing/passwords.py",
        '            password, normal, stored = "", "", None\n',
        '            password, normal = "", ""\n',
        f"{HASHES} normalising_refuses",
    ),
    "decoy with the live parameters": Mutation(
        f"{CORE}/hashing/passwords.py",
        "= self._hasher.hash(secrets.token_urlsafe(32))\n",
        "= argon2.PasswordHasher(2, 8, 1).hash(secrets.token_urlsafe(32))\n",
        f"{HASHES} decoy",
    ),
    "work for a malformed hash": Mutation(
        f"{CORE}/hashing/passwords.py",
        "            self._hasher.verify(normal, decoy)\n",
        "",
        f"{HASHES} malformed",
    ),
    "normal form of a password to be hashed": Mutation(
        f"{CORE}/hashing/passwords.py",
        (
            "        normal = normalise_password(password)\n"
            "        return await self._queue.run(lambda: self._hasher"
        ),
        "        normal = password\n        return await self._queue.run(lambda: self._hasher",
        f"{HASHES} unicode_form",
    ),
    "thread of a hash": Mutation(
        f"{CORE}/hashing/passwords.py",
        "return await self._queue.run(lambda: self._hasher.hash(normal), client)",
        "return self._hasher.hash(normal)",
        f"{QUEUE} event_loop",
    ),
    "thread of a check": Mutation(
        f"{CORE}/hashing/passwords.py",
        "        return self._queue.run(check, client, before)\n",
        '        return __import__("asyncio").sleep(0, check())\n',
        f"{QUEUE} beyond",
    ),
    "share of who has hashes made": Mutation(
        f"{CORE}/hashing/passwords.py",
        "lambda: self._hasher.hash(normal), client)",
        "lambda: self._hasher.hash(normal))",
        f"{SHARES} share or half",
    ),
    "share of who has hashes checked": Mutation(
        f"{CORE}/hashing/passwords.py",
        "self._queue.run(check, client, before)",
        'self._queue.run(check, "", before)',
        f"{SHARES} share or half",
    ),
    "cost of a stored bcrypt hash": Mutation(
        f"{CORE}/hashing/passwords.py",
        r"\$(0[4-9]|1[0-6])\$",
        r"\$(0[4-9]|[12][0-9]|3[01])\$",
        f"{HASHES} costs_too_much",
    ),
    "cost of a stored Argon2 hash": Mutation(
        f"{CORE}/hashing/passwords.py",
        "    if found.memory_cost > MOST_MEMORY or found.time_cost > MOST_TIME:\n",
        "    if found.memory_cost > MOST_MEMORY:\n",
        f"{HASHES} costs_too_much",
    ),
    "wrong password for a broken hash": Mutation(
        f"{CORE}/hashing/passwords.py",
        "except (argon2.exceptions.Argon2Error, ValueError):",
        "except argon2.exceptions.VerifyMismatchError:",
        f"{LOGIN} malformed",
    ),
    "better hash in place of a weaker one": Mutation(
        f"{CORE}/hashing/passwords.py",
        "self._hasher.hash(normal) if weaker else None",
        "None",
        f"{LOGIN} weaker",
    ),
    "better hash in place of bcrypt's": Mutation(
        f"{CORE}/hashing/passwords.py",
        "self._verify_bcrypt(password, stored), True",
        "self._verify_bcrypt(password, stored), False",
        f"{HASHES} bcrypt",
    ),
    "kind of Argon2 that is weaker": Mutation(
        f"{CORE}/hashing/passwords.py",
        "        found.type is not argon2.Type.ID\n        or found.version",
        "        found.version",
        f"{HASHES} weaker or fewer",
    ),
    "version that is weaker": Mutation(
        f"{CORE}/hashing/passwords.py",
        "        or found.version < wanted.version\n",
        "",
        f"{HASHES} weaker or fewer",
    ),
    "passes that are too few": Mutation(
        f"{CORE}/hashing/passwords.py",
        "        or found.time_cost < wanted.time_cost\n",
        "",
        f"{HASHES} weaker or fewer",
    ),
    "memory that is too little": Mutation(
        f"{CORE}/hashing/passwords.py",
        "        or found.memory_cost < wanted.memory_cost\n",
        "",
        f"{HASHES} weaker or fewer",
    ),
    "hash that is too short": Mutation(
        f"{CORE}/hashing/passwords.py",
        "        or found.hash_len < wanted.hash_len\n",
        "",
        f"{HASHES} weaker or fewer",
    ),
    "password with a NUL for bcrypt": Mutation(
        f"{CORE}/hashing/passwords.py",
        '        if "\\0" in password:\n            raise ValueError("NUL")\n',
        "",
        f"{SHARES} nul",
    ),
    "longest password": Mutation(
        f"{CORE}/hashing/passwords.py",
        "    if len(normal) > MAX_LENGTH:\n        raise too_long\n",
        "",
        f"{POLICY} length",
    ),
    "half a surrogate in a password": Mutation(
        f"{CORE}/hashing/passwords.py",
        "        password.encode()\n    except",
        "        pass\n    except",
        f"{POLICY} cannot",
    ),
    "compatibility forms of a password": Mutation(
        f"{CORE}/hashing/passwords.py",
        'normal = unicodedata.normalize("NFKC", password)',
        'normal = unicodedata.normalize("NFC", password)',
        f"{HASHES} unicode",
    ),
    "shortest password": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    if len(normal) < min_length:",
        "    if len(normal) < min_length - 1:",
        f"{POLICY} length",
    ),
    "length of what is hashed, not of what was typed": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    if len(normal) < min_length:",
        "    if len(password) < min_length:",
        f"{POLICY} length",
    ),
    "NUL in a password": Mutation(
        f"{CORE}/hashing/password_policy.py",
        '    if "\\0" in normal:',
        "    if False:",
        f"{POLICY} hashed_or_stored",
    ),
    "list of common passwords": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    if is_common(folded):",
        "    if False:",
        f"{POLICY} list or common",
    ),
    "letter case of a common password": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    folded = normal.casefold()\n",
        "    folded = normal\n",
        f"{POLICY} common",
    ),
    "password made of the address": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    if _only_context(folded, words):",
        "    if False:",
        f"{POLICY} address",
    ),
    "name of the service as a password": Mutation(
        f"{CORE}/hashing/password_policy.py",
        '*email.rpartition("@")[::2], service_name):',
        '*email.rpartition("@")[::2]):',
        f"{POLICY} service",
    ),
    "parts of the address as a password": Mutation(
        f"{CORE}/hashing/password_policy.py",
        'for text in (email, *email.rpartition("@")[::2], service_name):',
        "for text in (email, service_name):",
        f"{POLICY} initials",
    ),
    "digits after the address": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "            reached[start + 1] |= start > 0 and char.isdecimal()\n",
        "",
        f"{POLICY} address",
    ),
    "passwords joined of common ones": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    if _easily_guessed(folded, words):",
        "    if False:",
        f"{POLICY} joined",
    ),
    "repeats": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    if period < SHORTEST_WORD:\n        return 0\n",
        "",
        f"{POLICY} joined",
    ),
    "runs on the keyboard": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "        if piece in RUNS or len(set(piece)) == 1:",
        "        if len(set(piece)) == 1:",
        f"{POLICY} joined",
    ),
    "digits after a common password": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "            if text[start:end].isdecimal():",
        "            if False:",
        f"{POLICY} joined",
    ),
    "separators between common passwords": Mutation(
        f"{CORE}/hashing/password_policy.py",
        "    return fewest is not None and fewest <= 2\n",
        "    return False\n",
        f"{POLICY} joined",
    ),
    "bound of the queue": Mutation(
        f"{CORE}/hashing/hash_queue.py",
        "self._pending >= self._limit or has_its_share",
        "has_its_share",
        f"{QUEUE} beyond",
    ),
    "half of the queue": Mutation(
        f"{CORE}/hashing/hash_queue.py",
        "max(1, waiting // 2)",
        "max(1, waiting)",
        f"{SHARES} half",
    ),
    "count of a client's hashes": Mutation(
        f"{CORE}/hashing/hash_queue.py",
        "            self._pending_of[client] += 1\n",
        "",
        f"{SHARES} half",
    ),
    "place of a hash that runs on": Mutation(
        f"{CORE}/hashing/hash_queue.py",
        "        future.add_done_callback(end)\n        return asyncio.wrap_future(future)\n",
        (
            "        wrapped = asyncio.wrap_future(future)\n"
            "        wrapped.add_done_callback(lambda _: end(future))\n"
            "        return wrapped\n"
        ),
        f"{QUEUE} running",
    ),
    "clients that are gone": Mutation(
        f"{CORE}/hashing/hash_queue.py",
        "            if not self._pending_of[client]:\n",
        "            if False:\n",
        f"{SHARES} gone",
    ),
    "priority of a hash": Mutation(
        f"{CORE}/hashing/hash_queue.py",
        ', "password", initializer=_lower_priority)',
        ', "password")',
        f"{QUEUE} event_loop",
    ),
    "half of the memory": Mutation(
        f"{CORE}/hashing/hash_threads.py",
        "int(limit) // 2 // HASH_BYTES",
        "int(limit) // HASH_BYTES",
        f"{THREADS} memory",
    ),
    "quota of processor time": Mutation(
        f"{CORE}/hashing/hash_threads.py",
        "        found += (_whole_cores(folder), _hashes_in_memory(folder))\n",
        "        found += (_hashes_in_memory(folder),)\n",
        f"{THREADS} version_two",
    ),
    "groups above the process's own": Mutation(
        f"{CORE}/hashing/hash_threads.py",
        "for depth in range(len(parts) + 1))",
        "for depth in (len(parts),))",
        f"{THREADS} above",
    ),
    "group outside of what is mounted": Mutation(
        f"{CORE}/hashing/hash_threads.py",
        '        if ".." in parts:  # a group outside of what is mounted here\n'
        "            parts = []\n",
        "",
        f"{THREADS} path",
    ),
    "limits looked at before the hash": Mutation(
        f"{CORE}/accounts/logins.py",
        "    core.throttle.check_login(key, origin.network)\n",
        "",
        "gatehouse/tests/test_throttled_logins.py sixty",
    ),
    "limit of right logins": Mutation(
        f"{CORE}/accounts/logins.py",
        "    core.throttle.login_succeeded(key, origin.network)\n",
        "",
        "gatehouse/tests/test_throttled_logins.py others",
    ),
    "scopes that end in no login": Mutation(
        f"{CORE}/accounts/logins.py",
        "roles=None if asked is None else _roles_that_hold(core, asked)",
        "roles=None",
        f"{BETWEEN} scope",
    ),
    "client of a guess": Mutation(
        f"{CORE}/accounts/logins.py",
        "partial(core.throttle.count_login, key, origin.network)",
        'partial(core.throttle.count_login, key, "")',
        "gatehouse/tests/test_throttled_logins.py elsewhere",
    ),
    "account of a guess": Mutation(
        f"{CORE}/accounts/logins.py",
        "partial(core.throttle.count_login, key, origin.network)",
        'partial(core.throttle.count_login, "", origin.network)',
        "gatehouse/tests/test_throttled_logins.py fifty",
    ),
    "throttle of a link's password": Mutation(
        f"{CORE}/accounts/proving.py",
        "count = partial(core.throttle.count_login, key, origin.network)",
        "count = None",
        f"{BETWEEN} guesses_at_links",
    ),
    "count of a link's password before its hash": Mutation(
        f"{CORE}/accounts/proving.py",
        "            registration.count_link_password(session, token)\n",
        "            pass\n",
        f"{BETWEEN} link",
    ),
    "trace of a link's wrong password": Mutation(
        f"{CORE}/accounts/registration.py",
        '    record(session, "login_failed", origin)\n',
        "",
        f"{BETWEEN} guesses_at_links",
    ),
    "one row for a flood": Mutation(
        f"{CORE}/accounts/proving.py",
        "    if refused.first:\n",
        "    if True:\n",
        "gatehouse/tests/test_throttled_logins.py first_refusal",
    ),
    "trace of a flood": Mutation(
        f"{CORE}/accounts/proving.py",
        '            record(session, "throttled", origin)\n',
        "            pass\n",
        "gatehouse/tests/test_throttled_logins.py first_refusal",
    ),
    "current password as the new one": Mutation(
        f"{CORE}/routes/accounts.py",
        (
            "    if normalise_password(change.current_password) == "
            "_normalised(change.new_password):\n"
        ),
        "    if False:\n",
        "gatehouse/tests/test_recovery.py change_that",
    ),
    "policy for a new password": Mutation(
        f"{CORE}/routes/shared.py",
        "    except WeakPassword as error:\n        raise refused(field, str(error)) from None\n",
        "    except WeakPassword:\n        pass\n",
        "gatehouse/tests/test_registration.py weak",
    ),
    "length that the settings ask for": Mutation(
        f"{CORE}/routes/shared.py",
        "min_length=core.settings.auth_password_min_length",
        "min_length=8",
        "gatehouse/tests/test_registration.py settings",
    ),
    "passwords known from a breach": Mutation(
        f"{CORE}/routes/shared.py",
        "    if await run_in_threadpool(_is_breached, core, password):\n",
        "    if False:\n",
        "gatehouse/tests/test_hooks.py breached",
    ),
    "check for a breach that fails": Mutation(
        f"{CORE}/routes/shared.py",
        (
            "    except Exception as error:\n"
            '        log.error("is_breached failed: %s", type(error).__name__)\n'
            "        return False\n"
        ),
        "    finally:\n        pass\n",
        "gatehouse/tests/test_hooks.py breached",
    ),
    "share of who sends new passwords": Mutation(
        f"{CORE}/routes/shared.py",
        "core.passwords.hash(password, client=origin.network)",
        "core.passwords.hash(password)",
        "gatehouse/tests/test_throttled_logins.py half",
    ),
    "policy for a password of a command": Mutation(
        f"{CORE}/cli/accounting.py",
        (
            "check_new_password(\n"
            "            _read_password(),\n"
            "            email=key,\n"
            "            service_name=core.name,\n"
            "            min_length=core.settings.auth_password_min_length,\n"
            "        )"
        ),
        "_read_password()",
        "gatehouse/tests/test_commands.py user",
    ),
}

ARGUED = {
    "length of a password before it is read": Argued(
        Mutation(
            f"{CORE}/hashing/password_policy.py",
            "    if len(password) > 4 * MAX_LENGTH:",
            "    if False:",
            POLICY,
        ),
        f"{CORE}/hashing/password_policy.py",
        "    if len(normal) > MAX_LENGTH:\n        raise too_long\n",
        "longest password",
    ),
}
