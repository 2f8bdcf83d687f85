"""Initialise torch's vector mathematics, in one thread, on import.

The first `exp`, `sin` or `erf` of float64 in a process sets up MKL's vector library. If two threads do so at
once, one of them may compute its half with seven digits instead of sixteen: seen in 20 of 200 processes with
torch 2.13.0 and MKL 2024.2 on two cores. A loss of 1e-9 would then be wrong, and training would not resume bit
for bit. A first call that is too short to be divided among threads avoids the race.
"""

import torch

torch.ones(8, dtype=torch.float64).exp()
