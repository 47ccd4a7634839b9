"""Updates of a service: what a release may do, and what becomes of an owner's edits."""

from mutations import Argued, Mutation

MUTATIONS = {
    "files that git calls unmerged": Mutation(
        "gatehouse/check_update.py",
        'sorted((unmerged | rejected | marked) - {""})',
        'sorted((rejected | marked) - {""})',
        "gatehouse/tests/test_check_update.py conflicts",
    ),
    "rejected parts of an update": Mutation(
        "gatehouse/check_update.py",
        'sorted((unmerged | rejected | marked) - {""})',
        'sorted((unmerged | marked) - {""})',
        "gatehouse/tests/test_check_update.py conflicts",
    ),
    "marks of a conflict": Mutation(
        "gatehouse/check_update.py",
        'sorted((unmerged | rejected | marked) - {""})',
        'sorted((unmerged | rejected) - {""})',
        "gatehouse/tests/test_check_update.py conflicts",
    ),
    "conflicts in a pull request": Mutation(
        "gatehouse/check_update.py",
        '    status = 3 if left or gone or change or tests != "passed" else 0',
        '    status = 3 if gone or change or tests != "passed" else 0',
        "gatehouse/tests/test_check_update.py pull_request",
    ),
    "failed tests of an update": Mutation(
        "gatehouse/check_update.py",
        'or change or tests != "passed" else 0',
        "or change else 0",
        "gatehouse/tests/test_check_update.py pull_request",
    ),
    "workflows of an update": Mutation(
        "gatehouse/check_update.py",
        '    if change:\n        git("restore"',
        '    if False:\n        git("restore"',
        "gatehouse/tests/test_check_update.py workflows",
    ),
    "fence around a patch": Mutation(
        "gatehouse/check_update.py",
        'return "~" * max([7, *(len(run) + 1 for run in re.findall("~+", text))])',
        'return "~" * 7',
        "gatehouse/tests/test_check_update.py fence",
    ),
    "back-tick in a name": Mutation(
        "gatehouse/check_update.py",
        "return f\"`{plain.replace('`', '?')}`\"",
        'return f"`{plain}`"',
        "gatehouse/tests/test_check_update.py name",
    ),
    "line end in a name": Mutation(
        "gatehouse/check_update.py",
        'plain = "".join(letter if letter.isprintable() else "?" for letter in name)',
        "plain = name",
        "gatehouse/tests/test_check_update.py name",
    ),
    "password in a link": Mutation(
        "gatehouse/check_update.py",
        (
            'place = re.sub(r"//[^/]*@", "//", '
            'template_releases.address(source)).removesuffix(".git")'
        ),
        'place = template_releases.address(source).removesuffix(".git")',
        "gatehouse/tests/test_check_update.py links",
    ),
    "source in a pull request": Mutation(
        "gatehouse/check_update.py",
        "    safe_render.same_source(before, now)\n",
        "",
        "gatehouse/tests/test_check_update.py stays_a_name",
    ),
    "source after an update": Mutation(
        "gatehouse/check_update.py",
        '    safe_render.same_source(before, Path(ANSWERS).read_text("utf-8"))\n',
        "",
        "gatehouse/tests/test_check_update.py update_did",
    ),
    "what an update did": Mutation(
        "gatehouse/check_update.py",
        '    safe_render.refuse("What the update did", safe_render.changed(known=known))\n',
        "",
        "gatehouse/tests/test_check_update.py update_did",
    ),
    "commit that was looked at": Mutation(
        "gatehouse/check_update.py",
        'f"--vcs-ref={commit}"',
        'f"--vcs-ref={reference or commit}"',
        "gatehouse/tests/test_check_update.py owned",
    ),
    "owned files in an update": Mutation(
        "gatehouse/check_update.py",
        "safe_render.excludes(entries(OWNED))",
        "safe_render.excludes()",
        "gatehouse/tests/test_check_update.py owned",
    ),
    "judgement after an update": Mutation(
        "gatehouse/check_update.py",
        "    return judge() or left\n",
        "    return left\n",
        "gatehouse/tests/test_check_update.py conflicts",
    ),
    "modules of Python's own": Mutation(
        "gatehouse/check_update.py",
        (
            "    sys.path[:] = [path for path in sys.path if path and "
            "str(Path(path).resolve()) != HERE]\n"
        ),
        "",
        "gatehouse/tests/test_check_update.py module",
    ),
    "commits of the owner on the proposed branch": Mutation(
        "gatehouse/propose.py",
        "    if number and others():",
        "    if False:",
        "gatehouse/tests/test_check_update.py overwritten",
    ),
    "signature before a patch is made": Mutation(
        "gatehouse/propose.py",
        "    if found.waits and signers.is_file():",
        "    if False:",
        "gatehouse/tests/test_check_update.py not_prepared",
    ),
    "lock without building": Mutation(
        "gatehouse/propose.py",
        '[uv, "lock", "--no-build"]',
        '[uv, "lock"]',
        "gatehouse/tests/test_check_update.py renewed",
    ),
    "token in what gh says": Mutation(
        "gatehouse/propose.py",
        '            text = text.replace(secret, "***")\n',
        "            pass\n",
        "gatehouse/tests/test_check_update.py drafts",
    ),
    "name of a file of a release": Mutation(
        "gatehouse/safe_render.py",
        " or not PLAIN.fullmatch(part):",
        ":",
        "gatehouse/tests/test_safe_render.py",
    ),
    "notes of the owner": Mutation(
        "gatehouse/safe_render.py",
        "    if path.lower() in NOTES:",
        "    if False:",
        "gatehouse/tests/test_safe_render.py",
    ),
    "files that a release does not have": Mutation(
        "gatehouse/safe_render.py",
        '        return "a release has no such file"\n',
        '        return ""\n',
        "gatehouse/tests/test_safe_render.py",
    ),
    "hidden file in the core": Mutation(
        "gatehouse/safe_render.py",
        '    return f"{hidden} may not lie in {CORE}" if hidden else ""',
        '    return ""',
        "gatehouse/tests/test_safe_render.py",
    ),
    "hidden file in a first copy": Mutation(
        "gatehouse/safe_render.py",
        '        return f"{hidden} may not lie there" if hidden else ""',
        '        return ""',
        "gatehouse/tests/test_safe_render.py",
    ),
    "module that Python starts with": Mutation(
        "gatehouse/safe_render.py",
        "(sitecustomize|usercustomize)\\b|",
        "",
        "gatehouse/tests/test_safe_render.py",
    ),
    "file of paths for Python": Mutation(
        "gatehouse/safe_render.py",
        "[^/]*\\.(pth|py[cod]|so)",
        "[^/]*\\.(py[cod]|so)",
        "gatehouse/tests/test_safe_render.py",
    ),
    "compiled module": Mutation(
        "gatehouse/safe_render.py",
        "[^/]*\\.(pth|py[cod]|so)",
        "[^/]*\\.(pth|so)",
        "gatehouse/tests/test_safe_render.py",
    ),
    "link in an update": Mutation(
        "gatehouse/safe_render.py",
        (
            "    if stat.S_ISLNK(mode):\n"
            '        return "it is a link"\n'
            "    if not stat.S_ISREG(mode):\n"
            '        return "it is no file"\n'
        ),
        "",
        "gatehouse/tests/test_safe_render.py",
    ),
    "file that can be run": Mutation(
        "gatehouse/safe_render.py",
        'return "it is executable" if mode & 0o111 else ""',
        'return ""',
        "gatehouse/tests/test_safe_render.py",
    ),
    "files that a patch may change": Mutation(
        "gatehouse/safe_render.py",
        'why = "" if path in (*NOTES, "uv.lock") else fault(path)',
        'why = ""',
        "gatehouse/tests/test_check_update.py patch",
    ),
    "mode that a patch changes": Mutation(
        "gatehouse/safe_render.py",
        "        if not why and after not in (GONE, before):\n",
        "        if False:\n",
        "gatehouse/tests/test_check_update.py patch",
    ),
    "files that an update adds": Mutation(
        "gatehouse/safe_render.py",
        (
            '            why = fault(name.removesuffix(".rej")) or '
            "mode_fault(Path(name).lstat().st_mode)\n"
        ),
        '            why = ""\n',
        "gatehouse/tests/test_check_update.py update_did",
    ),
    "patch that is looked at": Mutation(
        "gatehouse/safe_render.py",
        '        refuse("The patch", changed(index))\n',
        "",
        "gatehouse/tests/test_check_update.py patch",
    ),
    "another source": Mutation(
        "gatehouse/safe_render.py",
        '    if stored(before, "_src_path") != stored(after, "_src_path"):\n',
        "    if False:\n",
        "gatehouse/tests/test_check_update.py update_did",
    ),
    "name of a release in the answers": Mutation(
        "gatehouse/safe_render.py",
        '    if not re.fullmatch(r"[\\w.+-]+", stored(after, "_commit"), re.ASCII):',
        "    if False:",
        "gatehouse/tests/test_check_update.py update_did",
    ),
    "look at a release": Mutation(
        "template/gatehouse/safe_render.py",
        "        refuse(what, faults(service))\n",
        "        pass\n",
        "tests/test_hostile_releases.py refused_and and (settings_of_uv or executable)",
        of_template=True,
    ),
    "attributes of a release": Mutation(
        "template/gatehouse/safe_render.py",
        "            if not why and relative == ATTRIBUTES:",
        "            if False:",
        "tests/test_hostile_releases.py refused_and and filter_in",
        of_template=True,
    ),
    "attributes that the first look does not see": Mutation(
        "template/gatehouse/safe_render.py",
        "    why = new_attributes_fault(aside)\n",
        '    why = ""\n',
        "tests/test_hostile_releases.py although and attributes",
        of_template=True,
    ),
    "attributes that hide a change": Mutation(
        "gatehouse/safe_render.py",
        "if not LINE_ENDS.fullmatch(asked):",
        'if asked.startswith(b"filter"):',
        "gatehouse/tests/test_safe_render.py attributes",
    ),
    "file of the owner's that a release reads": Mutation(
        "template/gatehouse/safe_render.py",
        "external_data|!(?!=)",
        "!(?!=)",
        "tests/test_hostile_releases.py does_not_read",
        of_template=True,
    ),
    "links of a release": Mutation(
        "template/gatehouse/safe_render.py",
        "        for name in (*names, *links):",
        "        for name in names:",
        "tests/test_hostile_releases.py link_to_a_folder",
        of_template=True,
    ),
    "mode of a file of a release": Mutation(
        "template/gatehouse/safe_render.py",
        "fault(relative, update=False) or mode_fault(path.lstat().st_mode)",
        "fault(relative, update=False)",
        "tests/test_hostile_releases.py refused_and and executable",
        of_template=True,
    ),
    "everything but what a release may hold": Mutation(
        "template/gatehouse/safe_render.py",
        'patterns = ["/*", f"!/{CORE}"',
        'patterns = [f"!/{CORE}"',
        "tests/test_hostile_releases.py first_look",
        of_template=True,
    ),
    "workflows that Copier does not write": Mutation(
        "template/gatehouse/safe_render.py",
        'patterns += ["!/.github/workflows", "/.github/workflows/*",',
        'patterns += ["!/.github/workflows",',
        "tests/test_hostile_releases.py first_look",
        of_template=True,
    ),
    "owner's files at Copier": Mutation(
        "template/gatehouse/safe_render.py",
        'patterns = ["/*", f"!/{CORE}"',
        'patterns = ["/*", "!/pyproject.toml", f"!/{CORE}"',
        "tests/test_hostile_releases.py takes_the_owners",
        of_template=True,
    ),
    "hooks of Copier's git": Mutation(
        "template/gatehouse/safe_render.py",
        '"core.hooksPath": os.devnull, "core.fsmonitor"',
        '"core.fsmonitor"',
        "tests/test_hostile_releases.py runs_no_hook",
        of_template=True,
    ),
    "monitor of Copier's git": Mutation(
        "template/gatehouse/safe_render.py",
        ' "core.fsmonitor": "false",',
        "",
        "tests/test_hostile_releases.py runs_no_hook",
        of_template=True,
    ),
    "trust in Copier's settings": Mutation(
        "template/gatehouse/safe_render.py",
        'yield {**variables, "COPIER_SETTINGS_PATH": str(settings)}',
        "yield variables",
        "tests/test_hostile_releases.py trusted",
        of_template=True,
    ),
    "settings of git that were given": Mutation(
        "template/gatehouse/safe_render.py",
        'count = int(variables.get("GIT_CONFIG_COUNT") or 0)',
        "count = 0",
        "tests/test_hostile_releases.py runs_no_hook",
        of_template=True,
    ),
    "source that a release names": Mutation(
        "template/gatehouse/check_update.py",
        '    safe_render.same_source(before, Path(ANSWERS).read_text("utf-8"))\n',
        "",
        "tests/test_hostile_releases.py another_template",
        of_template=True,
    ),
    "older Copier": Mutation(
        "template/gatehouse/safe_render.py",
        "if not done.returncode and number(found[0]) >= number(FLOOR):",
        "if not done.returncode:",
        "tests/test_hostile_releases.py older_copier",
        of_template=True,
    ),
    "hooks of git": Mutation(
        "gatehouse/template_releases.py",
        'f"core.hooksPath={os.devnull}", "core.fsmonitor=false"',
        '"core.fsmonitor=false"',
        "gatehouse/tests/test_check_update.py hook",
    ),
    "monitor of git": Mutation(
        "gatehouse/template_releases.py",
        '"core.fsmonitor=false", ',
        "",
        "gatehouse/tests/test_check_update.py hook",
    ),
    "password in what git says": Mutation(
        "gatehouse/template_releases.py",
        '        why = re.sub(r"//[^/\\s]*@", "//", why)\n',
        "",
        "gatehouse/tests/test_check_update.py terminal",
    ),
    "characters of what git says": Mutation(
        "gatehouse/template_releases.py",
        '"".join(filter(_is_plain, done.stderr.decode(errors="replace").strip()))',
        'done.stderr.decode(errors="replace").strip()',
        "gatehouse/tests/test_check_update.py terminal",
    ),
    "release that was taken away": Mutation(
        "gatehouse/template_releases.py",
        "if number(release) and release not in known:",
        "if False:",
        "gatehouse/tests/test_check_update.py taken_away",
    ),
    "release that was proposed": Mutation(
        "gatehouse/template_releases.py",
        "missing(known, current, proposed())",
        "missing(known, current)",
        "gatehouse/tests/test_check_update.py taken_away",
    ),
    "release that is no release yet": Mutation(
        "gatehouse/template_releases.py",
        're.fullmatch(r"v?\\d+(\\.\\d+){1,2}", tag, re.ASCII)',
        're.match(r"v?\\d+(\\.\\d+){1,2}", tag, re.ASCII)',
        "gatehouse/tests/test_check_update.py",
    ),
    "pre-release before its release": Mutation(
        "gatehouse/template_releases.py",
        '0 if not rest or re.fullmatch(r"-\\d+-g[0-9a-f]+", rest) else -1',
        "0",
        "gatehouse/tests/test_check_update.py",
    ),
    "fixes that are new": Mutation(
        "gatehouse/template_releases.py",
        "if number(current) < number(version) <= number(tag)",
        "if number(version) <= number(tag)",
        "gatehouse/tests/test_check_update.py counts",
    ),
    "fixes of a later release": Mutation(
        "gatehouse/template_releases.py",
        "if number(current) < number(version) <= number(tag)",
        "if number(current) < number(version)",
        "gatehouse/tests/test_check_update.py",
    ),
    "signature of a tag": Mutation(
        "gatehouse/template_releases.py",
        '            git(*options, "-C", folder, "verify-tag", name)\n',
        "            pass\n",
        "gatehouse/tests/test_check_update.py release or tag",
    ),
    "name that was signed": Mutation(
        "gatehouse/template_releases.py",
        'if f"tag {tag}" not in head or "type commit" not in head:',
        'if "type commit" not in head:',
        "gatehouse/tests/test_check_update.py moved",
    ),
    "tag of a signed tag": Mutation(
        "gatehouse/template_releases.py",
        'if f"tag {tag}" not in head or "type commit" not in head:',
        'if f"tag {tag}" not in head:',
        "gatehouse/tests/test_check_update.py moved",
    ),
    "list of signers": Mutation(
        "gatehouse/template_releases.py",
        '    if not signers.is_file():\n        raise Trouble(f"there is no file {signers}")\n',
        "",
        "gatehouse/tests/test_check_update.py signature",
    ),
    "tag and no branch": Mutation(
        "gatehouse/template_releases.py",
        '    name = f"refs/tags/{tag}"\n',
        "    name = tag\n",
        "gatehouse/tests/test_check_update.py branch",
    ),
    "address that is no option": Mutation(
        "gatehouse/template_releases.py",
        '"ls-remote", "--tags", "--", address',
        '"ls-remote", "--tags", address',
        "gatehouse/tests/test_check_update.py option_of",
    ),
    "wait for the template": Mutation(
        "gatehouse/template_releases.py",
        "address(source), wait=NETWORK)",
        "address(source))",
        "gatehouse/tests/test_check_update.py answer",
    ),
    "answer with a control character": Mutation(
        "gatehouse/template_releases.py",
        'if (value := found.get(key, "")) and value.isprintable():',
        'if value := found.get(key, ""):',
        "gatehouse/tests/test_check_update.py one_line",
    ),
    "moves that lead elsewhere": Mutation(
        "template/gatehouse/carry.py",
        "if len(paths) != 2 or not all(map(is_core, paths)):",
        "if len(paths) != 2:",
        "tests/test_moved_files.py leads_elsewhere",
        of_template=True,
    ),
    "edit where the same was changed": Mutation(
        "template/gatehouse/carry.py",
        "    if clashes:\n",
        "    if False:\n",
        "tests/test_moved_files.py conflict_at",
        of_template=True,
    ),
    "file of the owner's at the new place": Mutation(
        "template/gatehouse/carry.py",
        "    if here not in (theirs, merged, None):\n",
        "    if False:\n",
        "tests/test_moved_files.py of_the_owners",
        of_template=True,
    ),
}

ARGUED = {
    "way upwards in a release": Argued(
        Mutation(
            "gatehouse/safe_render.py",
            'if part in ("", ".", "..") or not PLAIN.fullmatch(part):',
            "if not PLAIN.fullmatch(part):",
            "gatehouse/tests/test_safe_render.py",
        ),
        "gatehouse/safe_render.py",
        " or not PLAIN.fullmatch(part):",
        "name of a file of a release",
    ),
    "repository that a release brings": Argued(
        Mutation(
            "template/gatehouse/safe_render.py",
            '            variables["GIT_DIR"] = str(empty)\n',
            "",
            "tests/test_hostile_releases.py refused_and and monitor",
            of_template=True,
        ),
        "template/gatehouse/safe_render.py",
        ' "core.fsmonitor": "false",',
        "monitor of Copier's git",
    ),
    "trust in a signer": Argued(
        Mutation(
            "gatehouse/template_releases.py",
            ', "gpg.minTrustLevel=fully")',
            ")",
            "gatehouse/tests/test_check_update.py signature",
        ),
        "gatehouse/template_releases.py",
        '            git(*options, "-C", folder, "verify-tag", name)\n',
        "signature of a tag",
    ),
}
