"""The keys that sign: which are good, and how they are read, kept and changed."""

from mutations import CORE, Mutation

MUTATIONS = {
    "strength of a secret": Mutation(
        f"{CORE}/signing/keys.py",
        "if reason := weakness(text):",
        'if reason := "":',
        "gatehouse/tests/test_keys.py",
    ),
    "key that is there twice": Mutation(
        f"{CORE}/signing/keys.py",
        "if any(key.kid == other.kid for other in keys):",
        "if False:",
        "gatehouse/tests/test_keys.py twice",
    ),
    "secret that is a part of another key": Mutation(
        f"{CORE}/signing/keys.py",
        "    _refuse_shared(keys)\n",
        "",
        "gatehouse/tests/test_keys.py part",
    ),
    "size of an RSA key": Mutation(
        f"{CORE}/signing/keys.py",
        "if private.key_size < RSA_BITS:",
        "if False:",
        "gatehouse/tests/test_keys.py pem",
    ),
    "curve of a key": Mutation(
        f"{CORE}/signing/keys.py",
        " and isinstance(private.curve, ec.SECP256R1)",
        "",
        "gatehouse/tests/test_keys.py pem",
    ),
    "no key at all": Mutation(
        f"{CORE}/signing/keys.py",
        '        raise BadKey("no key is set")\n',
        "        items = find_keys(new_key())\n",
        "gatehouse/tests/test_keys.py",
    ),
    "id of a secret": Mutation(
        f"{CORE}/signing/keys.py",
        'hmac.digest(secret, b"gatehouse kid", sha256)[:16]',
        "sha256(secret).digest()[:16]",
        "gatehouse/tests/test_keys.py hmac",
    ),
    "secret in a printed key": Mutation(
        f"{CORE}/signing/keys.py",
        "signing: Any = field(repr=False)",
        "signing: Any",
        "gatehouse/tests/test_keys.py printed",
    ),
    "verifying secret in a printed key": Mutation(
        f"{CORE}/signing/keys.py",
        "verifying: Any = field(repr=False)",
        "verifying: Any",
        "gatehouse/tests/test_keys.py printed",
    ),
    "secrets among the published keys": Mutation(
        f"{CORE}/signing/keys.py",
        "[key.public for key in self.keys if key.public]",
        (
            '[key.public or {"kty": "oct", "kid": key.kid, "use": "sig", "alg": "HS256"} '
            "for key in self.keys]"
        ),
        "gatehouse/tests/test_discovery.py hmac",
    ),
    "private members of a published key": Mutation(
        f"{CORE}/signing/keys.py",
        'public = {name: members[name] for name in _PUBLIC[members["kty"]]}',
        "public = dict(members)",
        "gatehouse/tests/test_keys.py published",
    ),
    "public key that would sign": Mutation(
        f"{CORE}/signing/keys.py",
        'if "PRIVATE KEY-----" not in text.split("\\n", 1)[0]:',
        "if False:",
        "gatehouse/tests/test_keys.py pem",
    ),
    "alphabet of a secret": Mutation(
        f"{CORE}/signing/key_weakness.py",
        'if not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", text) or len(bare) % 4 == 1:',
        "if len(bare) % 4 == 1:",
        "gatehouse/tests/test_keys.py weak",
    ),
    "well-known secret": Mutation(
        f"{CORE}/signing/key_weakness.py",
        "if bare in WELL_KNOWN:",
        "if False:",
        "gatehouse/tests/test_keys.py everyone",
    ),
    "hexadecimal secret": Mutation(
        f"{CORE}/signing/key_weakness.py",
        'if re.fullmatch(r"[0-9A-Fa-f]+", text):',
        "if False:",
        "gatehouse/tests/test_keys.py weak",
    ),
    "length of a secret": Mutation(
        f"{CORE}/signing/key_weakness.py",
        "if len(secret) < KEY_BYTES:",
        "if len(secret) < 16:",
        "gatehouse/tests/test_keys.py weak",
    ),
    "body of a PEM": Mutation(
        f"{CORE}/signing/key_weakness.py",
        (
            '    ("is the body of a PEM or SSH key; give a PEM with its BEGIN and END '
            'lines", _is_der),\n'
        ),
        "",
        "gatehouse/tests/test_keys.py",
    ),
    "repeated pattern": Mutation(
        f"{CORE}/signing/key_weakness.py",
        '    ("repeats one pattern and is not random", _repeats),\n',
        "",
        "gatehouse/tests/test_keys.py",
    ),
    "sequence": Mutation(
        f"{CORE}/signing/key_weakness.py",
        '    ("is sequential and not random", _runs),\n',
        "",
        "gatehouse/tests/test_keys.py",
    ),
    "few values": Mutation(
        f"{CORE}/signing/key_weakness.py",
        '    ("has too few different bytes to be random", _few_values),\n',
        "",
        "gatehouse/tests/test_keys.py",
    ),
    "text as a secret": Mutation(
        f"{CORE}/signing/key_weakness.py",
        '    ("reads as text and is not random", _reads_as_text),\n',
        "",
        "gatehouse/tests/test_keys.py",
    ),
    "words as a secret": Mutation(
        f"{CORE}/signing/key_weakness.py",
        '    ("is made of common words and is not random", _made_of_words),\n',
        "",
        "gatehouse/tests/test_keys.py",
    ),
    "hash of a word": Mutation(
        f"{CORE}/signing/key_weakness.py",
        '    ("is the hash of a common word", _hash_of_a_word),\n',
        "",
        "gatehouse/tests/test_keys.py",
    ),
    "body of an SSH key": Mutation(
        f"{CORE}/signing/key_weakness.py",
        'if secret.startswith((b"\\0\\0\\0", b"openssh-key")):',
        "if False:",
        "gatehouse/tests/test_keys.py",
    ),
    "body of a certificate": Mutation(
        f"{CORE}/signing/key_weakness.py",
        ('if secret.startswith(b"\\x30\\x82") and int.from_bytes(secret[2:4]) == len(secret) - 4:'),
        "if False:",
        "gatehouse/tests/test_keys.py",
    ),
    "four equal bytes": Mutation(
        f"{CORE}/signing/key_weakness.py",
        "if any(len(set(secret[start : start + 4])) == 1 for start in range(len(secret) - 3)):",
        "if False:",
        "gatehouse/tests/test_keys.py",
    ),
    "mode of a draft of the keys": Mutation(
        f"{CORE}/signing/key_file.py",
        "os.O_EXCL, 0o600)",
        "os.O_EXCL, 0o644)",
        "gatehouse/tests/test_key_file.py",
    ),
    "lock of a rotation": Mutation(
        f"{CORE}/signing/key_file.py",
        "os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600",
        "os.O_WRONLY | os.O_CREAT, 0o600",
        "gatehouse/tests/test_key_file.py",
    ),
    "mode of the file of keys": Mutation(
        f"{CORE}/signing/key_file.py",
        "    os.chmod(draft, stat.S_IMODE(found.st_mode))\n",
        "    os.chmod(draft, 0o644)\n",
        "gatehouse/tests/test_key_file.py",
    ),
    "owner of the file of keys": Mutation(
        f"{CORE}/signing/key_file.py",
        "        os.chown(draft, found.st_uid, found.st_gid)\n",
        "        pass\n",
        "gatehouse/tests/test_key_file.py",
    ),
    "wait until a key is known": Mutation(
        f"{CORE}/signing/key_file.py",
        "        if times.now < ready:\n",
        "        if False:\n",
        "gatehouse/tests/test_key_file.py",
    ),
    "wait of those who fetch the keys": Mutation(
        f"{CORE}/signing/key_file.py",
        "timedelta(seconds=JWKS_MAX_AGE if key.public else 0)",
        "timedelta(0)",
        "gatehouse/tests/test_key_file.py",
    ),
    "wait for the last token of a key": Mutation(
        f"{CORE}/signing/key_file.py",
        "until_gone = times.reload + times.lifetime",
        "until_gone = times.reload",
        "gatehouse/tests/test_key_file.py",
    ),
    "wait for the reload of the last process": Mutation(
        f"{CORE}/signing/key_file.py",
        "until_gone = times.reload + times.lifetime",
        "until_gone = times.lifetime",
        "gatehouse/tests/test_key_file.py",
    ),
    "reload until a key is known": Mutation(
        f"{CORE}/signing/key_file.py",
        "return times.reload + timedelta(",
        "return timedelta(",
        "gatehouse/tests/test_key_file.py",
    ),
    "file that is for reading only": Mutation(
        f"{CORE}/signing/key_file.py",
        "if not os.access(path, os.W_OK):",
        "if False:",
        "gatehouse/tests/test_key_file.py",
    ),
    "draft of a rotation that failed": Mutation(
        f"{CORE}/signing/key_file.py",
        "        draft.unlink(missing_ok=True)\n        if isinstance",
        "        if isinstance",
        "gatehouse/tests/test_key_file.py",
    ),
    "readers of the group": Mutation(
        f"{CORE}/signing/key_file.py",
        "st_mode & 0o077",
        "st_mode & 0o007",
        "gatehouse/tests/test_key_file.py",
    ),
    "readers of the machine": Mutation(
        f"{CORE}/signing/key_file.py",
        "st_mode & 0o077",
        "st_mode & 0o070",
        "gatehouse/tests/test_key_file.py",
    ),
    "link to the file of keys": Mutation(
        f"{CORE}/signing/key_file.py",
        "    path = path.resolve()  # a link keeps pointing at the file\n",
        "",
        "gatehouse/tests/test_key_file.py",
    ),
    "end of the second of a note": Mutation(
        f"{CORE}/signing/key_file.py",
        "    return (moment + timedelta(seconds=1, microseconds=-1)).replace(microsecond=0)",
        "    return moment.replace(microsecond=0)",
        "gatehouse/tests/test_key_file.py",
    ),
    "key that was put first by hand": Mutation(
        f"{CORE}/signing/key_file.py",
        "    if len(ring.keys) > 1 and (mine or others):\n",
        "    if False:\n",
        "gatehouse/tests/test_key_file.py",
    ),
    "words of a bad note": Mutation(
        f"{CORE}/signing/key_file.py",
        (
            "raise BadKey(\n"
            '                f"line {number} is not a note of `keys rotate`; delete that line"\n'
            "            ) from None"
        ),
        "continue",
        "gatehouse/tests/test_key_file.py",
    ),
    "key in the file's error": Mutation(
        f"{CORE}/signing/key_file.py",
        '        raise BadKey("the file is not UTF-8 text; save it as UTF-8") from None',
        '        return path.read_text("latin-1")',
        "gatehouse/tests/test_key_file.py",
    ),
    "event of a rotation": Mutation(
        f"{CORE}/cli/rotating.py",
        "        _record(settings)\n",
        "        pass\n",
        "gatehouse/tests/test_rotating.py event",
    ),
    "warning of an open file of keys": Mutation(
        f"{CORE}/cli/rotating.py",
        "        if path and key_file.open_to_others(path):",
        "        if False:",
        "gatehouse/tests/test_rotating.py others",
    ),
    "rotation of a bad ring": Mutation(
        f"{CORE}/cli/rotating.py",
        "    key_ring(service.command, settings)\n    times",
        "    times",
        "gatehouse/tests/test_rotating.py",
    ),
    "new ring": Mutation(
        f"{CORE}/signing/reloading.py",
        "            self._tokens.use(ring)\n",
        "            pass\n",
        "gatehouse/tests/test_reloading.py",
    ),
    "order of the keys": Mutation(
        f"{CORE}/signing/reloading.py",
        "if kids != [key.kid for key in self._tokens.expected.ring.keys]:",
        "if {*kids} != {key.kid for key in self._tokens.expected.ring.keys}:",
        "gatehouse/tests/test_reloading.py order",
    ),
    "error that nobody thought of": Mutation(
        f"{CORE}/signing/reloading.py",
        "except Exception as error:  # whatever it is, the process goes on with the keys it has",
        "except BadKey as error:",
        "gatehouse/tests/test_reloading.py",
    ),
    "same bad file once": Mutation(
        f"{CORE}/signing/reloading.py",
        "if self._seen != reason:",
        "if True:",
        "gatehouse/tests/test_reloading.py",
    ),
    "refused file keeps the ring in memory": Mutation(
        f"{CORE}/signing/reloading.py",
        "            return\n        recovered",
        "            self._tokens.use(KeyRing(()))\n            return\n        recovered",
        "gatehouse/tests/test_reloading.py bad",
    ),
    "interval of the reload": Mutation(
        f"{CORE}/signing/reloading.py",
        "await asyncio.wait_for(self._asked.wait(), self._seconds)",
        "await self._asked.wait()",
        "gatehouse/tests/test_reloading.py",
    ),
    "hangup": Mutation(
        f"{CORE}/signing/reloading.py",
        "add_signal_handler(signal.SIGHUP, self._asked.set)",
        "add_signal_handler(signal.SIGHUP, self._asked.clear)",
        "gatehouse/tests/test_reloading.py",
    ),
    "start of the reload": Mutation(
        f"{CORE}/state.py",
        "            self.reloader.start()\n",
        "            pass\n",
        "gatehouse/tests/test_reloading.py",
    ),
}
