"""The history that all cases share. Every test here is slow: the session `template` leaves it."""

import pytest

from matrix.history import History, make_history
from matrix.recording import FULL, shared_folder


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: part of the full run alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/matrix" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
    if not FULL:
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def history(
    tmp_path_factory: pytest.TempPathFactory, _no_settings_of_the_developer: None
) -> History:
    return make_history(shared_folder(tmp_path_factory, "history"))
