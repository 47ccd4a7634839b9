"""What the repository's own texts may not hold, and what they promise that a check can decide."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from gatehouse.signing.keys import BadKey, read_keys
from rendering import REPOSITORY, git

# Written in two parts, so that this file does not hold them itself.
FOREIGN = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "/root" + "/", "/work" + "/")


def texts() -> dict[str, str]:
    """Every text file that git knows or would take in."""
    listed = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    found = {}
    for name in filter(None, listed.split("\0")):
        path = REPOSITORY / name
        if path.is_file() and b"\0" not in path.read_bytes():
            found[name] = path.read_text(encoding="utf-8")
    return found


def test_no_text_holds_a_key_that_a_service_would_accept() -> None:
    """Whoever copies an example from a document, a test or a workflow must be refused."""
    for name, text in texts().items():
        for word in re.findall(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43,}", text):
            with pytest.raises(BadKey):
                print(name, word, read_keys(word))


def test_no_text_names_a_registry_or_a_folder_of_one_machine() -> None:
    for name, text in texts().items():
        for word in FOREIGN:
            assert word not in text, f"{name} holds {word}"


def anchors(text: str) -> set[str]:
    """What the headings of a document can be linked as, on the common hosts."""
    titles = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_between_documents_leads_somewhere() -> None:
    for name, text in texts().items():
        if not name.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            file, _, anchor = target.partition("#")
            path = (REPOSITORY / name).parent / file if file else REPOSITORY / name
            assert path.exists(), f"{name} links to {target}"
            if anchor:
                assert anchor in anchors(path.read_text("utf-8")), f"{name} links to {target}"


def test_every_decision_has_a_date_and_is_short() -> None:
    """A record is read in two minutes: 500 words, beside the lines of tables."""
    records = sorted((REPOSITORY / "docs" / "decisions").glob("0*.md"))
    assert len(records) > 20
    index = (REPOSITORY / "docs" / "decisions" / "README.md").read_text("utf-8")
    for path in records:
        text = path.read_text("utf-8")
        assert re.match(rf"# {path.name[:4]}: .+\n\n20\d\d-[01]\d-[0-3]\d\n\n## Context\n", text), (
            path
        )
        assert len(re.findall(r"\S*\w\S*", text)) <= 500, path
        assert f"]({path.name})" in index, path


def test_the_readme_names_the_commands_that_ci_runs() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    for line in ("pip install uv && uvx nox -s demo", "pip install uv && uvx nox\n"):
        assert line in readme
    script = (REPOSITORY / ".ci" / "run").read_text()
    assert "pip install --quiet uv && uvx nox\n" in script


def test_the_change_log_tells_of_this_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f"## [{version}]" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_every_recorded_release_is_a_commit_of_this_history() -> None:
    releases = tomllib.loads((REPOSITORY / "releases.toml").read_text())
    assert "0.1.0" in releases
    shallow = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--is-shallow-repository"],
        capture_output=True,
        text=True,
    )
    if shallow.stdout.strip() == "true":
        pytest.skip("a shallow clone does not hold the history; use a full one")
    for version, commit in releases.items():
        assert re.fullmatch(r"[0-9a-f]{40}", commit), version
        git(REPOSITORY, "merge-base", "--is-ancestor", commit, "HEAD")


def test_the_manifest_of_the_core_is_fresh() -> None:
    """Run `nox -s manifest` after a change in the core."""
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "manifest.sha256"],
        cwd=Path(REPOSITORY, "template", "gatehouse"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = git(REPOSITORY, "ls-files", "template/gatehouse").splitlines()
    manifest = (REPOSITORY / "template" / "gatehouse" / "manifest.sha256").read_text()
    names = {f"template/gatehouse/{line[66:]}" for line in manifest.splitlines()}
    assert names == set(listed) - {"template/gatehouse/manifest.sha256"}


def test_no_file_of_the_core_holds_jinja() -> None:
    for name in git(REPOSITORY, "ls-files", "template/gatehouse").splitlines():
        content = (REPOSITORY / name).read_bytes()
        assert not name.endswith(".jinja")
        assert "{" not in name
        if name.endswith((".gz", "test_keys.py", "test_hostile_tokens.py")):
            continue  # compressed; attacks that look like templates
        assert not re.search(rb"\{%.*%\}|\{#.*#\}|\{\{ ", content), name
