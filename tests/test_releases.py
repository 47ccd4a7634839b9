"""A service of every recorded release takes this version, and keeps its users and their data."""

from pathlib import Path

import pytest
from rendering import NEXT, RELEASES, commit_all, git, render, run_in_service
from sampling import sample
from test_update import conflicts, owned, update

*OLDER, NEWEST = RELEASES
EMAIL, PASSWORD = "you@example.com", "seven quiet herons at dawn"

# Run by the service's own Python, in its own folder: a login as an old user, by HTTP in process.
LOG_IN = f"""
from starlette.testclient import TestClient
from demo_service.main import create_app
form = {{"grant_type": "password", "username": "{EMAIL}", "password": "{PASSWORD}"}}
with TestClient(create_app()) as client:
    answer = client.post("/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    bearer = {{"Authorization": "Bearer " + answer.json()["access_token"]}}
    assert client.get("/users/me", headers=bearer).json()["email"] == "{EMAIL}"
    assert client.post("/notes", headers=bearer, json={{"title": "a"}}).status_code == 201
    print(len(client.get("/notes", headers=bearer).json()["items"]), "notes")
    assert client.get("/readyz").status_code == 200
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", [*sample(OLDER, len(OLDER)), NEWEST])
def test_a_service_of_a_release_updates_and_keeps_its_users(
    every_version: Path, tmp_path: Path, version: str
) -> None:
    service = render(every_version, tmp_path / "service", version=version)
    commit_all(service)
    key = tmp_path / "key"
    run_in_service(service, "sh", "-c", f"demo-service keys new > {key}")
    with (service / ".env").open("w") as env:
        env.write(f"AUTH_KEYS={key.read_text()}")
    run_in_service(service, "demo-service", "migrate")
    run_in_service(service, "sh", "-c", f"echo '{PASSWORD}' | demo-service user create {EMAIL}")
    run_in_service(service, "python", "-c", LOG_IN)
    commit_all(service)  # with the uv.lock that the first run has made
    theirs = owned(service, "yours")
    update(service, f"--vcs-ref={NEXT}")
    assert conflicts(service) == []
    assert owned(service, "yours") == theirs
    run_in_service(service, "demo-service", "migrate")
    run_in_service(service, "python", "-c", LOG_IN)
    commit_all(service)
    update(service, f"--vcs-ref={NEXT}")
    assert git(service, "status", "--porcelain") == ""
