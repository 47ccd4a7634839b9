"""Every check by name. Bare `nox` is the fast set; `nox -l` lists all.

Each session makes what it needs. The only tool that must be there is uv, which `pip install uv`
brings; nothing is installed outside of nox's own folder and uv's cache.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
CORE = ROOT / "template" / "gatehouse"
PYTHONS = ("3.11", "3.12", "3.13")
UPDATES = (
    *("test_update.py", "test_own_code.py", "test_releases.py", "test_pending.py"),
    *("test_taking_over.py", "test_update_workflow.py", "test_check_release.py", "matrix"),
    *("test_moved_files.py", "test_hostile_releases.py"),
)
MUTATIONS = "test_mutations.py"
DATABASES = ("sqlite", "postgresql")
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")

# nox points uv at the session's environment; a rendered service is to have one of its own.
OWN_ENVIRONMENT = {
    "UV_PROJECT_ENVIRONMENT": None,
    "UV_PYTHON": None,
    "VIRTUAL_ENV": None,
}

# A session never fetches a Python by itself: one that is absent is reported.
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
# Tests start Python by the hundred: each start after the first is to find its modules compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def find_python(version: str) -> str | None:
    """A Python of this version: on PATH, from pyenv, or one that uv manages."""
    home = Path.home()
    candidates = [
        shutil.which(f"python{version}"),
        *home.glob(f".pyenv/versions/{version}.*/bin/python{version}"),
        *home.glob(f".local/share/uv/python/cpython-{version}*/bin/python{version}"),
        sys.executable,
    ]
    for candidate in filter(None, candidates):
        # A version manager's shim may stand on PATH for a Python that is not switched on.
        asked = [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        found = subprocess.run(asked, capture_output=True, text=True)
        if found.returncode == 0 and found.stdout.strip() == version:
            return str(candidate)
    return None


PRESENT = {version: path for version in PYTHONS if (path := find_python(version))}
COMBINATIONS = [f"{version}-{database}" for version in PYTHONS for database in DATABASES]

nox.needs_version = ">=2026.1"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
# What a person waits for. `.ci/run` runs the rest, and what grows is whole before a release.
FAST = [
    *("pythons", "lint", "types", "core(sqlite)", "template"),
    *(f"render({version}-sqlite)" for version in list(PRESENT)[-1:]),
]
LEFT = (
    "the core on PostgreSQL, every other Python and database, updates of older services, removed "
    "lines of defence, several processes, mail, a browser"
)
nox.options.sessions = FAST


@nox.session(python=False)
def pythons(session: nox.Session) -> None:
    """Say which Pythons the sessions found, and what the fast set leaves out."""
    for version in PYTHONS:
        session.log(f"Python {version}: {PRESENT.get(version, 'NOT FOUND, so not tested on')}")
    session.log(f"The fast set: {', '.join(FAST)}: some five minutes on two cores.")
    session.log(f"Left to .ci/run: {LEFT}. `nox -l` lists all.")


def install(session: nox.Session, *groups: str) -> None:
    """Install groups of pyproject.toml into the session's environment, and say how far we are."""
    if session.name in FAST:
        session.log(f"{FAST.index(session.name) + 1} of {len(FAST)}")
    session.install(*nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff on everything of ours, and the schemas of the files that only other machines run."""
    install(session, "lint", "copier")
    session.run("ruff", "check", ".", *session.posargs)
    session.run("ruff", "format", "--check", ".")
    with session.chdir(CORE):
        session.run("ruff", "check", ".")
        session.run("ruff", "format", "--check", ".")
    rendered = Path(session.create_tmp()) / "service"
    copy_template(session, rendered)
    workflows = sorted(str(path) for path in (rendered / ".github" / "workflows").glob("*.yml"))
    check = ("check-jsonschema", "--builtin-schema")
    session.run(*check, "vendor.github-workflows", *workflows)
    session.run(*check, "vendor.renovate", str(rendered / ".github" / "renovate.json"))
    session.run(*check, "vendor.compose-spec", str(rendered / "compose.yaml"))


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict on the core where it lies, and on the template's own code."""
    install(session, "types")
    session.install("-e", f"{CORE}[testing]")
    with session.chdir(CORE):
        session.run("mypy")
        scripts = ("check_update", "propose", "template_releases", "safe_render", "carry")
        session.run("mypy", *(f"{name}.py" for name in scripts))
        session.run("mypy", "tests")
    session.run("mypy", "noxfile.py", "hooks", "benchmarks", "tests", "--exclude=tests/browser")
    session.run("mypy", "tests/browser")


@nox.session
@nox.parametrize("database", DATABASES, ids=DATABASES)
def core(session: nox.Session, database: str) -> None:
    """The core's tests where the core lies, against a small sample application."""
    test_in_place(session, database, "tests")


@nox.session
@nox.parametrize("database", DATABASES, ids=DATABASES)
def pairs(session: nox.Session, database: str) -> None:
    """Every pair of acts on an account, the second at each boundary of the first: all of them."""
    test_in_place(session, database, "tests/test_pairs.py", PAIRS="all")


def test_in_place(session: nox.Session, database: str, tests: str, **environment: str) -> None:
    """Run tests of the core where the core lies."""
    session.install("-e", f"{CORE}[testing]")
    session.chdir(CORE)
    install(session, "core")
    session.run(
        *("pytest", "-q", "-n", "auto", "-c", "tests/in_place.ini", tests),
        *("-o", f"gatehouse_database={database}", *session.posargs),
        env=environment,
    )


@nox.session
def template(session: nox.Session) -> None:
    """The tests of the template: rendering, ownership, trust, quality of what is rendered."""
    install(session, "template", "client", "postgresql")
    session.install("-e", f"{CORE}[testing]")
    others = [f"--ignore=tests/{name}" for name in ("browser", "matrix", MUTATIONS)]
    fast = ("-m", "not slow", "-n", "auto")
    session.run("pytest", "-q", *fast, *others, *session.posargs, env=OWN_ENVIRONMENT)


@nox.session
@nox.parametrize("database", DATABASES, ids=DATABASES)
def model(session: nox.Session, database: str) -> None:
    """Walk through new histories of accounts. `-- --examples N --seed S` says how many, which."""
    parser = argparse.ArgumentParser(prog="nox -s model --")
    parser.add_argument("--examples", default="500", help="histories for each database (500)")
    parser.add_argument("--seed", default="", help="what a failed run has printed, to see it again")
    asked = parser.parse_args(session.posargs)
    install(session, "template", "postgresql")
    session.install("-e", f"{CORE}[testing]")
    session.run(
        *("pytest", "-q", "-rP", "--show-capture=stdout", "--tb=short", "tests/model"),
        *("-o", f"gatehouse_database={database}"),
        env={**OWN_ENVIRONMENT, "MODEL_EXAMPLES": asked.examples, "MODEL_SEED": asked.seed or "0"},
    )


@nox.session
def mutants(session: nox.Session) -> None:
    """Take lines of defence away, one at a time: a test must turn red. `-- --whole` takes all."""
    install(session, "template", "postgresql")
    session.install("-e", f"{CORE}[testing]")
    whole = {"MUTANTS": "all"} if "--whole" in session.posargs else {}
    more = [argument for argument in session.posargs if argument != "--whole"]
    tests = ("-q", "-n", "auto", f"tests/{MUTATIONS}")
    session.run("pytest", *tests, *more, env={**OWN_ENVIRONMENT, **whole})


@nox.session
def update(session: nox.Session) -> None:
    """`copier update` over owners' edits: a part, another one each day. `-- --whole` takes all."""
    install(session, "template", "client", "postgresql")
    session.install("-e", f"{CORE}[testing]")
    whole = {"WHOLE": "1"} if "--whole" in session.posargs else {}
    more = [argument for argument in session.posargs if argument != "--whole"]
    updates = [f"tests/{name}" for name in UPDATES]
    tests = ("-q", "-n", "auto", *updates)
    session.run("pytest", *tests, *more, env={**OWN_ENVIRONMENT, **whole})


@nox.session
def update_full(session: nox.Session) -> None:
    """Those edits over all versions and answers: most of an hour; its table goes into README."""
    install(session, "template", "postgresql")
    session.install("-e", f"{CORE}[testing]")
    results = Path(session.create_tmp()).resolve() / "matrix"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    full = {**OWN_ENVIRONMENT, "MATRIX": "full", "MATRIX_RESULTS": str(results)}
    here = {**OWN_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(("tests", "hooks"))}
    speed = "tests/matrix/test_speed.py"
    with session.chdir(ROOT):
        tests = ("pytest", "-q", "-n", "auto", "tests/matrix", f"--deselect={speed}")
        try:
            session.run(*tests, *session.posargs, env=full)
        finally:  # whatever it says; a part of the run is printed alone
            target = () if session.posargs else ("README.md",)
            session.run("python", "-m", "matrix.table", str(results), *target, env=here)
        session.run("pytest", "-q", "-s", speed, env=full)


@nox.session
@nox.parametrize("combination", COMBINATIONS, ids=COMBINATIONS)
def render(session: nox.Session, combination: str) -> None:
    """Render, install, run the generated tests, serve, and log in over HTTP as a client would."""
    version, database = combination.split("-")
    if version not in PRESENT:
        session.error(f"Python {version} is not on this machine; install it to run this session")
    python = PRESENT[version]
    install(session, "client", "postgresql")
    service = Path(session.create_tmp()) / "service"
    copy_template(session, service, f"--data=database={database}", f"--data=python_min={version}")
    environment = {**OWN_ENVIRONMENT, "UV_PYTHON": python}
    with session.chdir(service):
        session.run("uv", "sync", "-q", external=True, env=environment)
        session.run("uv", "run", "-q", "pytest", "-q", external=True, env=environment)
    check = ("python", "tests/check_service.py", str(service), database)
    session.run(*check, env=environment)


@nox.session
@nox.parametrize("database", DATABASES, ids=DATABASES)
def sessions(session: nox.Session, database: str) -> None:
    """Refresh, log-out and keys over several real processes, a rotation and an outage included."""
    install(session, "client", "postgresql")
    service = Path(session.create_tmp()) / "service"
    copy_template(session, service, f"--data=database={database}")
    check = ("python", "tests/check_sessions.py", str(service), database, *session.posargs)
    session.run(*check, env=OWN_ENVIRONMENT)


@nox.session
@nox.parametrize("database", DATABASES, ids=DATABASES)
def accounts(session: nox.Session, database: str) -> None:
    """The life of an account with a real mail server and a real Valkey, crashes included."""
    install(session, "client", "accounts", "postgresql")
    service = Path(session.create_tmp()) / "service"
    copy_template(session, service, f"--data=database={database}")
    check = ("python", "tests/check_accounts.py", str(service), database, *session.posargs)
    session.run(*check, env=OWN_ENVIRONMENT)


@nox.session
def demo(session: nox.Session) -> None:
    """Render a service, start it, log in, call a protected route. `-- --help` lists options."""
    install(session, "copier")
    session.run("python", "tests/demo.py", *session.posargs, env=OWN_ENVIRONMENT)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against bare FastAPI and raw Argon2, in the same run. `-- --help` lists options."""
    install(session, "copier")
    session.run("python", "-m", "benchmarks", *session.posargs, env=OWN_ENVIRONMENT)


@nox.session
def growth(session: nox.Session) -> None:
    """A million of each: cleaning and pages, at 0.4.0 and here. `-- --help` lists options."""
    session.install("-e", f"{CORE}[testing]")
    session.run("python", "-m", "benchmarks.growth", *session.posargs, env=OWN_ENVIRONMENT)


@nox.session
def browser(session: nox.Session) -> None:
    """The docs page in a real Chromium. Says so where there is none."""
    install(session, "browser")
    session.run("pytest", "-q", "-rs", "tests/browser", *session.posargs, env=OWN_ENVIRONMENT)


@nox.session
def release(session: nox.Session) -> None:
    """Refuse a version that would break services of an earlier one. `-- --final` when releasing."""
    install(session, "template")
    session.run("python", "hooks/check_release.py", *session.posargs)


@nox.session
def manifest(session: nox.Session) -> None:
    """Write the core's manifest of hashes anew. To be run after every change in the core."""
    session.run("python", "hooks/write_manifest.py")


@nox.session
def asvs(session: nox.Session) -> None:
    """Write docs/asvs.md anew: its rows, and the tests that show them."""
    session.run("python", "hooks/write_asvs.py")


@nox.session
def changes(session: nox.Session) -> None:
    """Write the tables of what answers differently into UPGRADING.md anew."""
    session.run("python", "hooks/write_changes.py")


def copy_template(session: nox.Session, target: Path, *options: str) -> None:
    """Render this checkout, uncommitted changes included, without a question and without trust."""
    shutil.rmtree(target, ignore_errors=True)
    session.run(
        *("copier", "copy", "--quiet", "--defaults", "--vcs-ref=HEAD"),
        *(*options, str(ROOT), str(target)),
    )
