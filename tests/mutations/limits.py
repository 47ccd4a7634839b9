"""Limits on guessing and on floods: who is counted, for what, how long, and where."""

from mutations import CORE, Mutation

THROTTLE = "gatehouse/tests/test_throttle.py"
LOGINS = "gatehouse/tests/test_throttled_logins.py"
HOOKS = "gatehouse/tests/test_hooks.py"

MUTATIONS = {
    "limit of a pair": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            if store.get_moving_window(*pair)[1] >= pair.amount:\n",
        "            if store.get_moving_window(*pair)[1] > pair.amount:\n",
        f"{THROTTLE} expired_keys",
    ),
    "limit of a pair at once": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            if not store.acquire_entry(*pair):  # parallel attempts filled it meanwhile\n",
        "            store.acquire_entry(*pair)\n            if False:\n",
        f"{THROTTLE} at_once",
    ),
    "limit of a network at once": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            if not store.acquire_entry(*most):\n",
        "            store.acquire_entry(*most)\n            if False:\n",
        f"{THROTTLE} oldest",
    ),
    "network of a pair": Mutation(
        f"{CORE}/throttling/throttle.py",
        (
            "        pair = _window(LOGIN_PAIR, account, network)\n"
            "        whole = _window(LOGIN_NETWORK, network)\n"
            "        returned = _returned(whole)\n"
            "\n"
            "        def attempt"
        ),
        (
            "        pair = _window(LOGIN_PAIR, account)\n"
            "        whole = _window(LOGIN_NETWORK, network)\n"
            "        returned = _returned(whole)\n"
            "\n"
            "        def attempt"
        ),
        f"{THROTTLE} clears",
        owner="gatehouse/tests/test_throttled_logins.py elsewhere",
    ),
    "account of a pair": Mutation(
        f"{CORE}/throttling/throttle.py",
        (
            "        pair = _window(LOGIN_PAIR, account, network)\n"
            "        whole = _window(LOGIN_NETWORK, network)\n"
            "        returned = _returned(whole)\n"
            "\n"
            "        def attempt"
        ),
        (
            "        pair = _window(LOGIN_PAIR, network)\n"
            "        whole = _window(LOGIN_NETWORK, network)\n"
            "        returned = _returned(whole)\n"
            "\n"
            "        def attempt"
        ),
        f"{THROTTLE} oldest",
        owner="gatehouse/tests/test_throttled_logins.py fifty",
    ),
    "failures that a right login forgives": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            store.clear(pair.key)\n            store.acquire_entry(*returned)\n",
        (
            "            store.clear(pair.key)\n"
            "            store.clear(_window(LOGIN_NETWORK, network).key)\n"
        ),
        f"{THROTTLE} buys",
        owner="gatehouse/tests/test_throttled_logins.py others",
    ),
    "age of what is given back": Mutation(
        f"{CORE}/throttling/throttle.py",
        "whole.seconds - HASH_SECONDS)",
        "whole.seconds)",
        f"{THROTTLE} lend",
    ),
    "attempts that others refused": Mutation(
        f"{CORE}/throttling/throttle.py",
        "                store.acquire_entry(*returned)\n                return",
        "                return",
        f"{THROTTLE} fifty_at",
    ),
    "limit of right logins in a minute": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            return None if store.acquire_entry(*right) else _refusal(right, store)\n",
        "            return None\n",
        f"{THROTTLE} sixty",
        owner="gatehouse/tests/test_throttled_logins.py beyond",
    ),
    "right logins looked at first": Mutation(
        f"{CORE}/throttling/throttle.py",
        "        limits = (pair, right, whole)\n",
        "        limits = (pair, whole)\n",
        f"{THROTTLE} right",
        owner="gatehouse/tests/test_throttled_logins.py beyond",
    ),
    "account of right logins": Mutation(
        f"{CORE}/throttling/throttle.py",
        "        right = _window(LOGIN_RIGHT, account, network)\n        returned",
        "        right = _window(LOGIN_RIGHT, network)\n        returned",
        f"{THROTTLE} sixty or office",
        owner="gatehouse/tests/test_throttled_logins.py beyond",
    ),
    "share of an address's mails": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            _window(MAIL_SHARE, key, network),\n",
        "",
        f"{THROTTLE} mails",
    ),
    "mails of an address in all": Mutation(
        f"{CORE}/throttling/throttle.py",
        "            _window(MAIL_ADDRESS, key),\n",
        "",
        f"{THROTTLE} mail",
    ),
    "refused mails count nowhere": Mutation(
        f"{CORE}/throttling/throttle.py",
        (
            "                if store.get_moving_window(*window)[1] >= window.amount:\n"
            "                    return False\n"
        ),
        "                pass\n",
        f"{THROTTLE} mail",
    ),
    "one client of a /64": Mutation(
        f"{CORE}/throttling/origin.py",
        "IPv6Network((int(parsed), 64), strict=False)",
        "IPv6Network((int(parsed), 128), strict=False)",
        f"{THROTTLE} network",
        owner="gatehouse/tests/test_throttled_logins.py addresses",
    ),
    "IPv4 inside IPv6": Mutation(
        f"{CORE}/throttling/origin.py",
        "parsed.ipv4_mapped or ",
        "",
        f"{THROTTLE} network",
        owner="gatehouse/tests/test_throttled_logins.py addresses",
    ),
    "length of what is no address": Mutation(
        f"{CORE}/throttling/origin.py",
        "        return ip[:64]\n",
        "        return ip\n",
        f"{THROTTLE} network",
    ),
    "no address in the store": Mutation(
        f"{CORE}/throttling/throttle.py",
        'digests = (sha256(part.encode("utf-8", "surrogatepass")).hexdigest() for part in parts)',
        "digests = parts",
        f"{THROTTLE} store or key",
    ),
    "name of a limit in its keys": Mutation(
        f"{CORE}/throttling/throttle.py",
        '":".join((limit.name, *digests))',
        '":".join(digests)',
        f"{THROTTLE} clears",
        owner="gatehouse/tests/test_throttled_logins.py beyond",
    ),
    "one first refusal": Mutation(
        f"{CORE}/throttling/throttle.py",
        'first = store.acquire_entry(f"{window.key}:refused", 1, window.seconds)',
        "first = True",
        f"{THROTTLE} first",
        owner="gatehouse/tests/test_throttled_logins.py first",
    ),
    "time until the next one": Mutation(
        f"{CORE}/throttling/throttle.py",
        "Throttled(min(max(left, 1), window.seconds), first)",
        "Throttled(left, first)",
        f"{THROTTLE} set_back",
    ),
    "count in memory while the store is lost": Mutation(
        f"{CORE}/throttling/counters.py",
        "                self._note_lost(error.storage_error)\n",
        "                raise\n",
        f"{THROTTLE} lost",
    ),
    "pause before a lost store is asked": Mutation(
        f"{CORE}/throttling/counters.py",
        "            if self._lost and clock() < self._next_try:\n                return False\n",
        "",
        f"{THROTTLE} lost or five_seconds",
    ),
    "text of the store's error": Mutation(
        f"{CORE}/throttling/counters.py",
        "            name = type(error).__name__\n",
        "            name = str(error)\n",
        f"{THROTTLE} lost or password",
    ),
    "patience with the store": Mutation(
        f"{CORE}/throttling/counters.py",
        "STORE_PATIENCE = 0.5",
        "STORE_PATIENCE = 8.0",
        f"{THROTTLE} silent",
    ),
    "services that share a store": Mutation(
        f"{CORE}/throttling/counters.py",
        'key_prefix=f"gatehouse:{service}"',
        'key_prefix="gatehouse"',
        f"{THROTTLE} every",
    ),
    "bound of keys": Mutation(
        f"{CORE}/throttling/memory_store.py",
        "len(self.events) > MEMORY_KEYS or self",
        "self",
        f"{THROTTLE} bounded",
    ),
    "bound of entries": Mutation(
        f"{CORE}/throttling/memory_store.py",
        " or self.entries > MEMORY_ENTRIES",
        "",
        f"{THROTTLE} bounded",
    ),
    "sweep of a full memory": Mutation(
        f"{CORE}/throttling/memory_store.py",
        "            if clock() >= self._next_sweep or self._is_full():\n",
        "            if clock() >= self._next_sweep:\n",
        f"{THROTTLE} bounded",
    ),
    "limit of a window": Mutation(
        f"{CORE}/throttling/memory_store.py",
        "        if len(window) >= limit:\n",
        "        if len(window) > limit:\n",
        f"{THROTTLE} slides",
        owner="gatehouse/tests/test_throttled_logins.py first",
    ),
    "window that slides": Mutation(
        f"{CORE}/throttling/memory_store.py",
        "        first = bisect_right(times, now - expiry)\n",
        "        first = 0\n",
        f"{THROTTLE} refusal",
        owner="gatehouse/tests/test_throttled_logins.py password",
    ),
    "what has left the window": Mutation(
        f"{CORE}/throttling/memory_store.py",
        "            del self.times[:expired]\n",
        "            pass\n",
        f"{THROTTLE} slides",
        owner="gatehouse/tests/test_throttled_logins.py password",
    ),
    "keys of which nothing is left": Mutation(
        f"{CORE}/throttling/memory_store.py",
        "            if not window:\n                del self.events[key]\n",
        "",
        f"{THROTTLE} leave",
    ),
    "count of all entries": Mutation(
        f"{CORE}/throttling/memory_store.py",
        "            self.entries -= window.drop_expired(now)\n            if not window",
        "            window.drop_expired(now)\n            if not window",
        f"{THROTTLE} count_of",
    ),
    "client of a limited route": Mutation(
        f"{CORE}/web/rate_limits.py",
        "core.throttle.count, limit, origin.network)",
        'core.throttle.count, limit, "")',
        f"{HOOKS} limited",
    ),
    "route of a limit": Mutation(
        f"{CORE}/web/rate_limits.py",
        'Limit(f"route {path}", amount, seconds)',
        'Limit("route", amount, seconds)',
        f"{HOOKS} limited",
    ),
    "client of a limited form": Mutation(
        f"{CORE}/routes/shared.py",
        "lambda: core.throttle.count(limit, origin.network))",
        'lambda: core.throttle.count(limit, ""))',
        "gatehouse/tests/test_recovery.py guessed_without_end",
        owner=True,
    ),
    "limit of registrations": Mutation(
        f"{CORE}/routes/registration.py",
        "@limited(REGISTER)\n",
        '@limited(__import__("dataclasses").replace(REGISTER, amount=10**9))\n',
        f"{LOGINS} each_form",
        owner=True,
    ),
    "limit of links mailed again": Mutation(
        f"{CORE}/routes/registration.py",
        "@limited(RESEND)\n",
        '@limited(__import__("dataclasses").replace(RESEND, amount=10**9))\n',
        f"{LOGINS} each_form",
        owner=True,
    ),
    "limit of forgotten passwords": Mutation(
        f"{CORE}/routes/recovery.py",
        "@limited(FORGOT)\n",
        '@limited(__import__("dataclasses").replace(FORGOT, amount=10**9))\n',
        f"{LOGINS} each_form",
        owner=True,
    ),
    "limit of confirmations": Mutation(
        f"{CORE}/routes/recovery.py",
        '"/verify-email", status_code=204, responses=_BAD_LINK)\n@public\n@limited(ONE_TIME)\n',
        (
            '"/verify-email", status_code=204, responses=_BAD_LINK)\n@public\n'
            '@limited(__import__("dataclasses").replace(ONE_TIME, amount=10**9))\n'
        ),
        f"{LOGINS} each_form",
        owner=True,
    ),
    "limit of resets": Mutation(
        f"{CORE}/routes/recovery.py",
        '"/reset-password", status_code=204, responses=_BAD_LINK)\n@public\n@limited(ONE_TIME)\n',
        (
            '"/reset-password", status_code=204, responses=_BAD_LINK)\n@public\n'
            '@limited(__import__("dataclasses").replace(ONE_TIME, amount=10**9))\n'
        ),
        f"{LOGINS} each_form",
        owner=True,
    ),
    "limit of refreshes": Mutation(
        f"{CORE}/routes/grants.py",
        "    refuse_flood(core, origin, REFRESH)\n",
        "",
        f"{LOGINS} refresh",
        owner=True,
    ),
    "limit of log-outs": Mutation(
        f"{CORE}/routes/sessions.py",
        "    refuse_flood(core, origin, REFRESH)\n",
        "",
        f"{LOGINS} refresh",
        owner=True,
    ),
    "mails that a change of address sends": Mutation(
        f"{CORE}/routes/accounts.py",
        '            if core.throttle.allows_mail("change_email", key, origin.network):\n',
        "            if True:\n",
        "gatehouse/tests/test_recovery.py five_changes",
        owner=True,
    ),
    "client of a mail": Mutation(
        f"{CORE}/routes/shared.py",
        "core.throttle.allows_mail(kind, key, origin.network)",
        'core.throttle.allows_mail(kind, key, "")',
        f"{LOGINS} stranger",
        owner=True,
    ),
}
