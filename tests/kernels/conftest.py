import cases
import pytest


@pytest.fixture
def case(request):
    """The problem of a structure and a shape, made when a test wants it."""
    return cases.case(*request.param)
