"""What is imported when: a start and a command wait for what they use, and for nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DATABASE_AND_WEB = {"sqlalchemy", "sqlmodel", "alembic", "pydantic", "fastapi", "starlette"}
NOT_FOR_A_START = {"uvicorn", "redis", "limits", "alembic", "opentelemetry.sdk", "gatehouse.cli"}

# The whole start of a process that serves, up to its first answer.
START = """
import asyncio
from sample_app import create_app
app = create_app()
said = []
async def receive():
    return {"type": "lifespan.startup"} if not said else await asyncio.Event().wait()
async def send(message):
    said.append(message["type"])
async def main():
    task = asyncio.create_task(app({"type": "lifespan", "state": {}}, receive, send))
    while not said and not task.done():
        await asyncio.sleep(0)
    task.cancel()
asyncio.run(main())
assert said[0] == "lifespan.startup.complete", said
"""
HELP = """
from gatehouse import run
for words in {commands}:
    try:
        run("no:app", arguments=[*words.split(), "--help"])
    except SystemExit as ended:
        assert ended.code == 0
"""
COMMANDS = (
    *("", "dev", "serve", "migrate", "keys new", "keys rotate", "keys list", "token inspect"),
    *("user create", "user import", "user disable", "user end-sessions", "cleanup", "doctor"),
)


def imported_by(code: str, *, key: str = "", storage: str = "memory://", where: Path) -> set[str]:
    """Every module that a fresh process has after this code."""
    ours = {"PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}
    ours |= {"AUTH_KEYS": key, "AUTH_THROTTLE_STORAGE": storage}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTH_")}
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint('#', *sys.modules)"]
    done = subprocess.run(command, cwd=where, env={**kept, **ours}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("#")[2].split())


AT_ONCE = """
import gatehouse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
with ThreadPoolExecutor(len(gatehouse.__all__)) as threads:
    assert None not in threads.map(partial(getattr, gatehouse), gatehouse.__all__)
"""


def test_threads_may_use_the_package_s_names_at_once(tmp_path: Path) -> None:
    assert "gatehouse.install" in imported_by(AT_ONCE, where=tmp_path)


def test_the_package_alone_imports_nothing(tmp_path: Path) -> None:
    found = imported_by("import gatehouse", where=tmp_path)
    assert {name for name in found if name.startswith("gatehouse")} == {"gatehouse"}
    assert not found & DATABASE_AND_WEB


def test_a_start_imports_no_command_and_nothing_that_is_not_in_use(
    auth_key: str, tmp_path: Path
) -> None:
    found = imported_by(START, key=auth_key, where=tmp_path)
    assert "gatehouse.routes.token" in found
    assert not found & NOT_FOR_A_START


def test_a_start_with_a_shared_store_imports_its_client(auth_key: str, tmp_path: Path) -> None:
    found = imported_by(START, key=auth_key, storage="redis://127.0.0.1:9/0", where=tmp_path)
    assert found & NOT_FOR_A_START == {"redis", "limits"}


def test_the_help_of_a_command_imports_no_database(tmp_path: Path) -> None:
    found = imported_by(HELP.format(commands=COMMANDS), where=tmp_path)
    assert "gatehouse.cli.commands" in found
    assert not found & DATABASE_AND_WEB


@pytest.mark.parametrize("words", [["list"], ["new"]])
def test_a_look_at_keys_imports_neither_tables_nor_routes(
    auth_key: str, tmp_path: Path, words: list[str]
) -> None:
    code = f"""
from gatehouse import run
try:
    run("no:app", arguments=["keys", *{words}])
except SystemExit as ended:
    assert ended.code == 0
"""
    found = imported_by(code, key=auth_key, where=tmp_path)
    assert "gatehouse.signing.keys" in found
    assert not found & {"sqlmodel", "alembic", "fastapi", "starlette", "uvicorn", "redis"}


def test_install_is_the_function_when_its_module_has_been_imported() -> None:
    import gatehouse.install
    from gatehouse.install import install

    assert gatehouse.install is install
    assert not hasattr(gatehouse, "nothing")
