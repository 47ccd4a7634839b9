"""`copier copy` as a user types it: nothing to trust, and it works from and into anywhere."""

import subprocess
import tomllib
from pathlib import Path

import pytest
import safe_render
import yaml
from jinja2 import Template
from rendering import (
    REPOSITORY,
    VERSION,
    commit_all,
    configuration,
    files_of,
    git,
    run_copier,
)


def test_nothing_in_the_template_needs_trust() -> None:
    dangerous = {"_tasks", "_migrations", "_jinja_extensions"}
    assert not dangerous & configuration().keys()


def test_copier_itself_must_have_its_known_holes_closed() -> None:
    floor = configuration()["_min_copier_version"]
    assert tuple(map(int, floor.split("."))) >= (9, 19, 1)
    # Whoever runs Copier for an owner asks for that one or a newer.
    script = (REPOSITORY / "template/gatehouse/safe_render.py").read_text()
    assert f'FLOOR = "{floor}"\n' in script
    renovate = REPOSITORY / "template/{% if with_github %}.github{% endif %}/renovate.json"
    assert f'"copier": ">={floor}"' in renovate.read_text()
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    assert groups["copier"] == [f"copier>={floor}"]


def test_every_entry_of_exclude_is_one_path_and_names_the_owners(
    tmp_path: Path, plain_template: Path
) -> None:
    """Copiers before 9.18 take an entry of several lines for one pattern, which matches nothing."""
    entries = configuration()["_exclude"]
    rendered = [Template(one).render(_copier_operation="update") for one in entries]
    assert not [one for one in rendered if not one or "\n" in one]
    yours = Template(configuration()["_owners"]["yours"]).render(_copier_operation="update")
    assert set(yours.split()) == {one for one in rendered if one.startswith("/")}


def test_what_a_release_may_hold_is_what_copier_yml_names(default_render: Path) -> None:
    """Else `check_update.py update` would refuse our own."""
    owners = configuration()["_owners"]
    merged = {f"/{name}" for name in safe_render.MERGED if "/" not in name} | {"/.github"}
    assert set(owners["merged"].split()) == merged
    assert owners["core"].split() == [f"/{safe_render.CORE}"]
    yours = set(Template(owners["yours"]).render(_copier_operation="update").split())
    known = (*safe_render.YOURS_FOLDERS, *safe_render.YOURS_FILES)
    assert yours == {f"/{name}" for name in known}
    assert safe_render.faults(default_render) == []
    assert set(files_of(default_render / ".github")) == {
        name.removeprefix(".github/") for name in safe_render.MERGED if "/" in name
    }


@pytest.mark.slow
@pytest.mark.parametrize("version", ["floor", "newest"])
def test_an_owners_copier_may_be_the_floor_or_the_newest(
    template: Path, tmp_path: Path, version: str
) -> None:
    floor = configuration()["_min_copier_version"]
    wanted = f"copier=={floor}" if version == "floor" else "copier@latest"
    folder = tmp_path / "template"
    git(template, "clone", "--quiet", str(template), str(folder))
    service = tmp_path / "service"
    tool = ["uvx", "--from", wanted, "copier"]
    subprocess.run([*tool, "copy", "--defaults", "--quiet", folder, service], check=True)
    commit_all(service)
    (folder / "template/gatehouse/moved.txt").write_text("# Later.\n")
    (folder / "template/README.md.jinja").write_text("Later.\n")
    commit_all(folder, "99.0.0")
    subprocess.run([*tool, "update", "--defaults", "--quiet"], cwd=service, check=True)
    changed = git(service, "diff", "--name-only").split()
    assert changed == [".copier-answers.yml", "gatehouse/moved.txt"]


@pytest.mark.slow
def test_an_older_copier_is_refused_loudly(template: Path, tmp_path: Path) -> None:
    tool = ["uvx", "--from", "copier==9.15.2", "copier", "copy", "--defaults"]
    done = subprocess.run([*tool, template, tmp_path / "service"], capture_output=True, text=True)
    assert done.returncode
    assert "9.19.1" in done.stderr
    assert not (tmp_path / "service/gatehouse").exists()


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
