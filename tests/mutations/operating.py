"""Settings, commands, migrations, imports and `doctor`."""

from mutations import CORE, Argued, Mutation

MUTATIONS = {
    "every origin": Mutation(
        f"{CORE}/settings.py",
        'if "*" in origin:',
        "if False:",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "path of an origin": Mutation(
        f"{CORE}/settings.py",
        'if origin != f"{parts.scheme}://{parts.netloc}" or not _is_web_address(origin):',
        "if not _is_web_address(origin):",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "proxies everywhere": Mutation(
        f"{CORE}/settings.py",
        "if any(network.prefixlen == 0 for network in _collapsed(networks)):",
        "if False:",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "two halves of everything": Mutation(
        f"{CORE}/settings.py",
        "in _collapsed(networks)):",
        "in networks):",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "settings in a printed object": Mutation(
        f"{CORE}/settings.py",
        "        return ()\n",
        "        return super().__repr_args__()\n",
        "gatehouse/tests/test_settings.py printed",
    ),
    "shortest password that can be set": Mutation(
        f"{CORE}/settings.py",
        "default=15, ge=8, le=256",
        "default=15, ge=1, le=256",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "longest life that can be set": Mutation(
        f"{CORE}/settings.py",
        "default=1800, ge=1, le=86_400",
        "default=1800, ge=1",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "shortest life that can be set": Mutation(
        f"{CORE}/settings.py",
        "default=1800, ge=1, le=86_400",
        "default=1800, le=86_400",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "longest session": Mutation(
        f"{CORE}/settings.py",
        "auth_session_days: int = Field(default=30, ge=1, le=30)",
        "auth_session_days: int = Field(default=30, ge=1)",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "longest grace of a refresh": Mutation(
        f"{CORE}/settings.py",
        "default=10, ge=0, le=60",
        "default=10, ge=0",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "longest time without the list": Mutation(
        f"{CORE}/settings.py",
        "default=60, ge=1, le=3_600",
        "default=60, ge=1",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "oldest keys": Mutation(
        f"{CORE}/settings.py",
        "auth_keys_reload_seconds: int = Field(default=60, ge=1, le=60)",
        "auth_keys_reload_seconds: int = Field(default=60, ge=1)",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "two places of keys": Mutation(
        f"{CORE}/settings.py",
        "if self.auth_keys_file is not None and self.auth_keys.get_secret_value():",
        "if False:",
        "gatehouse/tests/test_settings.py fit",
    ),
    "rest longer than the session": Mutation(
        f"{CORE}/settings.py",
        "if self.auth_session_idle_days > self.auth_session_days:",
        "if False:",
        "gatehouse/tests/test_settings.py fit",
    ),
    "stale before it is read": Mutation(
        f"{CORE}/settings.py",
        "if self.auth_revocation_max_stale_seconds < self.auth_revocation_seconds:",
        "if False:",
        "gatehouse/tests/test_settings.py fit",
    ),
    "user in a URL": Mutation(
        f"{CORE}/settings.py",
        ' and "@" not in parts.netloc',
        "",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "query of an issuer": Mutation(
        f"{CORE}/settings.py",
        'if "?" in url or "#" in url or any(c.isspace() for c in url):',
        'if "#" in url:',
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "fragment of an issuer": Mutation(
        f"{CORE}/settings.py",
        'if "?" in url or "#" in url or any(c.isspace() for c in url):',
        'if "?" in url:',
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "scheme of a URL": Mutation(
        f"{CORE}/settings.py",
        'return parts.scheme in ("http", "https") and named',
        "return named",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "database in memory": Mutation(
        f"{CORE}/settings.py",
        'if scheme == "sqlite" and (parsed.database or ":memory:") == ":memory:":',
        "if False:",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "NUL in the database's URL": Mutation(
        f"{CORE}/settings.py",
        'if "\\x00" in url or "%00" in url:',
        "if False:",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "store that is not known": Mutation(
        f"{CORE}/settings.py",
        'if url != "memory://" and not url.startswith(("redis://", "rediss://")):',
        "if False:",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "mail server that is none": Mutation(
        f"{CORE}/settings.py",
        'if not known or parts.path.strip("/") or parts.query or parts.fragment:',
        "if False:",
        "gatehouse/tests/test_settings.py unsafe",
    ),
    "key that dev writes over": Mutation(
        f"{CORE}/serving.py",
        "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600",
        "os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600",
        "gatehouse/tests/test_commands.py dev",
    ),
    "mode of the env file": Mutation(
        f"{CORE}/serving.py",
        "os.O_EXCL, 0o600",
        "os.O_EXCL, 0o644",
        "gatehouse/tests/test_commands.py dev",
    ),
    "headers of a proxy in the server": Mutation(
        f"{CORE}/serving.py",
        '"proxy_headers": False',
        '"proxy_headers": True',
        "gatehouse/tests/test_commands.py serve",
    ),
    "name of the server": Mutation(
        f"{CORE}/serving.py",
        '"server_header": False',
        '"server_header": True',
        "gatehouse/tests/test_commands.py serve",
    ),
    "key that is set already": Mutation(
        f"{CORE}/serving.py",
        'if "AUTH_KEYS" in os.environ or os.environ.get("AUTH_KEYS_FILE"):',
        "if False:",
        "gatehouse/tests/test_rotating.py",
    ),
    "refusal to be migrated late": Mutation(
        f"{CORE}/serving.py",
        "if unmigrated(connection, service.migrations):",
        "if False:",
        "gatehouse/tests/test_commands.py unmigrated",
    ),
    "history that was lost, at a start": Mutation(
        f"{CORE}/migrating.py",
        "    if reason := lost(connection, owner):\n        _say",
        '    if reason := "":\n        _say',
        "gatehouse/tests/test_data.py",
    ),
    "history that the database knows": Mutation(
        f"{CORE}/migrating.py",
        "    if _current(connection, OWNER_VERSION_TABLE):",
        "    if False:",
        "gatehouse/tests/test_data.py",
    ),
    "tables of the other history": Mutation(
        f"{CORE}/migrating.py",
        "return (name in CORE_TABLES) == mine and name != CORE_VERSION_TABLE",
        "return True",
        "gatehouse/tests/test_data.py",
    ),
    "env file in git": Mutation(
        f"{CORE}/risks.py",
        ".returncode == 0:",
        ".returncode == 77:",
        "gatehouse/tests/test_diagnosing.py",
    ),
    "accounts that look like others": Mutation(
        f"{CORE}/risks.py",
        "if count := len(seen.lookalikes):",
        "if count := 0:",
        "gatehouse/tests/test_diagnosing.py",
    ),
    "release with a fix": Mutation(
        f"{CORE}/risks.py",
        "is_note=not fixes",
        "is_note=True",
        "gatehouse/tests/test_diagnosing.py",
    ),
    "mail that is not set": Mutation(
        f"{CORE}/risks.py",
        "if not seen.settings.smtp_url:",
        "if False:",
        "gatehouse/tests/test_diagnosing.py",
    ),
}

ARGUED = {
    "longest rest of a session": Argued(
        Mutation(
            f"{CORE}/settings.py",
            "auth_session_idle_days: int = Field(default=14, ge=1, le=30)",
            "auth_session_idle_days: int = Field(default=14, ge=1)",
            "gatehouse/tests/test_settings.py",
        ),
        f"{CORE}/settings.py",
        "if self.auth_session_idle_days > self.auth_session_days:",
        "rest longer than the session",
    ),
}
