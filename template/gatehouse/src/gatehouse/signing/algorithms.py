"""How an access token may be signed: the names of RFC 7518 and RFC 8037."""

ALGORITHMS = ("EdDSA", "ES256", "RS256", "HS256")
