"""Who may do what: a user has one role, a role has scopes, a route asks for scopes."""

# Each scope in words, for the API document. A route cannot ask for one that is not here.
SCOPES: dict[str, str] = {
    "notes:read": "Read your own notes.",
    "notes:write": "Write, change and delete your own notes.",
    "users:read": "See every account.",
    "users:write": "Disable accounts, change their roles and end their sessions.",
}

ROLES: dict[str, frozenset[str]] = {
    "user": frozenset({"notes:read", "notes:write"}),
    "admin": frozenset(SCOPES),
}
