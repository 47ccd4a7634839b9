"""The history that all cases share. Every test here is slow: the session `template` leaves it."""

import pytest

from matrix.history import History, make_history
from matrix.recording import shared_folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/matrix" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def history(
    tmp_path_factory: pytest.TempPathFactory, _no_settings_of_the_developer: None
) -> History:
    return make_history(shared_folder(tmp_path_factory, "history"))
