"""The first vector functions of a process are as exact as all later ones, also in several threads."""

import os
import subprocess
import sys

import pytest

PROCESSES = 100
FIRST_CALLS = """
import os, sys
import torch
torch.set_num_threads(1)
import mechgrok.analysis.losses
x = torch.linspace(-9, 9, 50_000, dtype=torch.float64)
differing = 0
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        torch.set_num_threads(2)
        first, second = x.exp(), x.exp()
        os._exit(not torch.equal(first, second))
    differing += os.waitpid(child, 0)[1] != 0
print(differing)
"""


@pytest.mark.bits
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, so that each makes a first call")
def test_first_calls_in_two_threads():
    # Without `mechgrok.vector_math` a tenth of the processes differ.
    command = [sys.executable, "-c", FIRST_CALLS, str(PROCESSES)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert output.split() == ["0"]
