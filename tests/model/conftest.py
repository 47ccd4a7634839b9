"""The core's own fixtures, on the sample application of its tests."""

import pytest
from gatehouse.testing import Factory
from sample_app import create_app as create_sample_app


@pytest.fixture(scope="session")
def create_app() -> Factory:
    return create_sample_app
