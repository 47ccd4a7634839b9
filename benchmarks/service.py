"""A service to measure: the template rendered with its default answers, plus one guarded route."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import Server, running
from benchmarks.signing_in import Account

REPOSITORY = Path(__file__).parents[1]
HERE = Path(__file__).parent
VERSION = "0.1.0"  # the tag of the snapshot; any would do

# The same form and the same place as in bare_app.py, so that both are found equally fast.
EDITS = {
    "from pathlib import Path\n": "from pathlib import Path\nfrom typing import Annotated\n",
    "import install\n": "import Caller, install, requires\n",
    "    app.include_router(notes)\n": """
    @app.get("/bench")
    async def read_bench(caller: Annotated[Caller, requires("notes:read")]) -> dict[str, str]:
        return {"message": "hello"}

    app.include_router(notes)
""",
}


@dataclass(frozen=True)
class Service:
    """A rendered and installed service with accounts, and the environment that it runs in."""

    folder: Path
    environment: Mapping[str, str]
    accounts: list[Account]

    @property
    def python(self) -> Path:
        return self._script("python")

    def _script(self, name: str) -> Path:
        return self.folder / ".venv" / ("Scripts" if os.name == "nt" else "bin") / name

    def command(self, *arguments: str, given: str | None = None) -> str:
        """Run `demo-service …`; returns what it prints."""
        return run([self._script("demo-service"), *arguments], self.folder, self.environment, given)

    @contextmanager
    def serve(self) -> Iterator[Server]:
        """The service, as its README starts it."""
        command: Command = [self._script("demo-service"), "serve"]
        log = self.folder.parent / "serve.log"
        with running(command, self.folder, self.environment, log) as server:
            yield server

    @contextmanager
    def serve_bare(
        self, *, like: Server | None = None, access_log: bool = True
    ) -> Iterator[Server]:
        """The bare application; with `like`, under the same malloc."""
        command: Command = [self.python, "-P", HERE / "bare_app.py"]
        command += [] if access_log else ["--no-access-log"]
        environment = tuned(self.environment, like) if like else self.environment
        log = self.folder.parent / "bare.log"
        with running(command, self.folder, environment, log) as server:
            yield server


def tuned(environment: Mapping[str, str], like: Server) -> dict[str, str]:
    """The environment with the malloc settings that a running server has given itself."""
    tunables = like.variable("GLIBC_TUNABLES")
    return {**environment, **({"GLIBC_TUNABLES": tunables} if tunables else {})}


Command = list[str | Path]


def run(
    command: Command,
    folder: Path,
    environment: Mapping[str, str],
    given: str | None = None,
) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        input=given or "",
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def plain_environment(folder: Path) -> dict[str, str]:
    """No setting of the developer's own: not of Copier, of uv's environment or of a service."""
    settings = folder / "copier-settings.yml"
    settings.write_text("{}\n")
    ours = {"PUBLIC_BASE_URL", "TRUSTED_PROXIES", "CORS_ORIGINS", "DOCS_ENABLED", "DATABASE_URL"}
    ours |= {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("AUTH_", "COPIER_"))
    }
    return {**kept, "COPIER_SETTINGS_PATH": str(settings)}


def take_snapshot(target: Path, environment: Mapping[str, str]) -> Path:
    """A repository with one commit that holds the working tree, changes included."""
    listing: Command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, run(listing, REPOSITORY, environment).split("\0")):
        if (source := REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    identity = ["-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com"]
    plain = [*identity, "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
    for arguments in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message=snapshot"],
        ["tag", VERSION],
        ["repack", "-adq"],  # as in a fresh clone
    ):
        run(["git", *plain, *arguments], target, environment)
    return target


def copier(*arguments: str | Path) -> Command:
    return [sys.executable, "-m", "copier", *arguments]


def copy_command(template: Path, target: Path) -> Command:
    return copier("copy", "--defaults", "--quiet", template, target)


def make_service(folder: Path, template: Path, accounts: int) -> Service:
    """Render, add the route, install, migrate, and make the accounts by `user create`."""
    environment = plain_environment(folder)
    target = folder / "service"
    run(copy_command(template, target), folder, environment)
    _add_route(target / "src/demo_service/main.py")
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    run([uv, "sync", "--quiet", "--no-dev", "--python", sys.executable], target, environment)
    service = Service(target, environment, [])
    key = service.command("keys", "new").strip()
    service = Service(target, {**environment, "AUTH_KEYS": key}, [])
    service.command("migrate")
    for number in range(accounts):
        account = (f"user{number}@example.com", secrets.token_urlsafe(24))
        service.command("user", "create", account[0], given=account[1] + "\n")
        service.accounts.append(account)
    return service


def _add_route(main: Path) -> None:
    text = main.read_text()
    for old, new in EDITS.items():
        if text.count(old) != 1:
            raise SystemExit(f"main.py is not as this expects it: it has no {old!r}")
        text = text.replace(old, new)
    main.write_text(text)
