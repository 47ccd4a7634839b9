"""`copier copy` as a user types it: nothing to trust, and it works from and into anywhere."""

import subprocess
from pathlib import Path

import pytest
import yaml
from rendering import VERSION, configuration, files_of, git, run_copier


def test_nothing_in_the_template_needs_trust() -> None:
    dangerous = {"_tasks", "_migrations", "_jinja_extensions"}
    assert not dangerous & configuration().keys()


def test_copier_itself_must_have_its_known_holes_closed() -> None:
    version = tuple(map(int, configuration()["_min_copier_version"].split(".")))
    assert version >= (9, 15, 2)


def test_the_command_needs_no_trust_and_says_what_comes_next(
    template: Path, tmp_path: Path, default_render: Path
) -> None:
    done = run_copier("copy", "--defaults", template, "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unsafe" not in done.stderr
    assert "Traceback" not in done.stderr
    steps = [
        "cd demo\n",
        "uv run demo-service dev\n",
        "uv run demo-service user create you@example.com",
        ":8000/docs",
    ]
    places = [done.stderr.index(step) for step in steps]
    assert places == sorted(places)
    ours, theirs = files_of(tmp_path / "demo"), files_of(default_render)
    assert ours == theirs


def test_a_folder_may_have_blanks_and_quotes(
    template: Path, tmp_path: Path, default_render: Path
) -> None:
    target = "my 'odd' folder/a b"
    done = run_copier("copy", "--defaults", template, target, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / target) == files_of(default_render)
    (line,) = [line for line in done.stderr.splitlines() if line.strip().startswith("cd ")]
    went = subprocess.run(
        ["sh", "-c", f"{line} && pwd"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert went.stdout.strip() == str((tmp_path / target).resolve())


@pytest.mark.parametrize("source", ["clone", "git URL", "folder with blanks"])
def test_it_can_come_from_anywhere(
    template: Path, tmp_path: Path, default_render: Path, source: str
) -> None:
    clone = tmp_path / ("my template" if "blanks" in source else "clone")
    git(tmp_path, "clone", "--quiet", str(template), str(clone))
    origin = f"git+{clone.as_uri()}" if source == "git URL" else str(clone)
    done = run_copier("copy", "--defaults", origin, "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stored = yaml.safe_load((tmp_path / "demo/.copier-answers.yml").read_text())
    assert stored["_commit"] == VERSION
    same = {path: text for path, text in files_of(default_render).items() if path[0] != "."}
    assert same.items() <= files_of(tmp_path / "demo").items()


def test_a_tag_and_the_head_can_be_named(template: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(template), str(clone))
    (clone / "template" / "NEW.md").write_text("new\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message=later")
    for reference, expected in ((VERSION, False), ("HEAD", True)):
        target = tmp_path / reference
        done = run_copier("copy", "--defaults", "--vcs-ref", reference, clone, target)
        assert done.returncode == 0, done.stderr
        assert (target / "NEW.md").exists() == expected
