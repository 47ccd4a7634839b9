"""Tokens, keys, and what guards an application."""

from mutations import CORE, Mutation

MUTATIONS = {
    "scope check": Mutation(
        f"{CORE}/guards.py",
        "if not token.scopes.issuperset(needed.scopes):",
        "if False:",
        "gatehouse/tests/test_guards.py",
    ),
    "audience check": Mutation(
        f"{CORE}/token_checks.py",
        "if expected.audience not in ([audience] if isinstance(audience, str) else audience):",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "issuer check": Mutation(
        f"{CORE}/token_checks.py",
        "if _need(candidate.claims).iss != expected.issuer:",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "lifetime check": Mutation(
        f"{CORE}/token_checks.py",
        "if not 0 < claims.exp - claims.iat <= expected.lifetime:",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "expiry of a remembered token": Mutation(
        f"{CORE}/tokens.py",
        "if token.expires_at <= time.time():",
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "type of the token": Mutation(
        f"{CORE}/token_checks.py",
        'if str(candidate.header.get("typ")).lower() not in _TYPES:',
        "if False:",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "algorithm of the key": Mutation(
        f"{CORE}/token_checks.py",
        "algorithms=[key.algorithm],",
        'algorithms=["HS256", "HS384", "HS512"],',
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "threads that share verified tokens": Mutation(
        f"{CORE}/tokens.py",
        "            with self._changing:\n                while",
        "            if True:\n                while",
        "gatehouse/tests/test_hostile_tokens.py",
    ),
    "guard of every route": Mutation(
        f"{CORE}/install.py",
        "    check_routes(app.router, frozenset(app.state.gatehouse.scopes))\n",
        "    pass\n",
        "gatehouse/tests/test_guards.py",
    ),
    "ended sessions": Mutation(
        f"{CORE}/guards.py",
        "if revocation.ends(token):",
        "if False:",
        "gatehouse/tests/test_sessions.py",
    ),
}
