"""Fixtures for all tests."""

import os
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

# The time of an example says nothing on a machine that does other things too. The same examples every time: what is
# green on one machine is to be green on another.
settings.register_profile(
    "mechgrok", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("mechgrok")

# Small networks run fastest in one thread; `make paths` sets another number, with which everything must hold as well.
torch.set_num_threads(int(os.environ.get("MECHGROK_TEST_THREADS", "1")))

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def peer_data() -> Path:
    """Folder with networks that others trained; required where MECHGROK_REQUIRE_PEER_DATA is 1."""
    folder = Path(os.environ.get("MECHGROK_PEER_DATA", REPOSITORY / "../shared/peer-data")).resolve()
    if not folder.is_dir():
        reason = f"no networks of other people at {folder} (set MECHGROK_PEER_DATA)"
        if os.environ.get("MECHGROK_REQUIRE_PEER_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture
def unchecked():
    """Types are not checked as the test runs, so that what is of a wrong kind comes as far as it does for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def _leave_torch_as_it_was():
    """No test may change the global state of torch for the next one."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    grad = torch.is_grad_enabled()
    yield
    assert torch.get_default_dtype() == dtype
    assert torch.is_grad_enabled() == grad
    torch.set_num_threads(threads)
