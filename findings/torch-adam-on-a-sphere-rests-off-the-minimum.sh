#!/usr/bin/env bash
# torch 2.13.0: AdamW (weight_decay=0) whose weights are rescaled to a fixed norm after every step, as experiments on
# constrained norms do it (Omnigrok, arXiv 2210.01117), does not come to rest at the smallest loss on that sphere, however
# long it goes on and however small its learning rate becomes. It is no fault of Adam: the part of the gradient along the
# weights does not vanish there, it fills Adam's second moments, and at rest it is the step, not the gradient, that is
# parallel to the weights. SGD with the same rescaling rests at the minimum, and so does Adam if it is given the gradient
# without its part along the weights.
#
# Seen, for the loss |w - c|^2 / 2 with c = (3, 1, 0.3) on the unit sphere, where the smallest loss is at c / |c| =
# (0.944, 0.315, 0.094): after 20,000 steps with a learning rate that falls from 1e-2 to 1e-6, Adam ends at (0.678, 0.671,
# 0.300) with a loss of 2.75 instead of 2.37. Two weights are equally large, as steps of Adam are whatever the size of
# their gradients; the third is where its gradient is 0. SGD, and Adam with tangential gradients, end within 1e-2 of
# c / |c|. mechgrok's protocols of losses at a fixed norm use tangential gradients (mechgrok/experiments/held_norm.py).
#
# Exit status: 0 where this is so, 1 where it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "torch==2.13.0" "numpy==2.2.6"
cat > "$folder/sphere.py" <<'PYTHON'
import sys
from math import dist

import torch

torch.set_num_threads(1)
centre = torch.tensor([3.0, 1.0, 0.3], dtype=torch.float64)
best = (centre / centre.norm()).tolist()


def rest(make, tangential: bool) -> list[float]:
    """Where the weights are after many steps with a learning rate that falls to nothing."""
    weights = torch.nn.Parameter(torch.tensor([0.2, -0.5, 0.8], dtype=torch.float64))
    steps = 20_000
    optimizer = make([weights], lr=1e-2)
    falling = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1e-4 ** (1 / steps))
    for _ in range(steps):
        with torch.no_grad():
            weights /= weights.norm()
            gradient = weights - centre
            weights.grad = gradient - (gradient @ weights) * weights if tangential else gradient
        optimizer.step()
        falling.step()
    return (weights / weights.norm()).tolist()


def loss(weights: list[float]) -> float:
    return (torch.tensor(weights, dtype=torch.float64) - centre).square().sum().item() / 2


def adam(weights, lr):
    return torch.optim.AdamW(weights, lr=lr, weight_decay=0.0)


found = {
    "Adam": rest(adam, False),
    "Adam, tangential gradients": rest(adam, True),
    "SGD": rest(torch.optim.SGD, False),
}
print(f"torch {torch.__version__}; the smallest loss on the sphere is {loss(best):.2f}, at", [round(x, 3) for x in best])
for name, weights in found.items():
    print(f"{name}: rests at", [round(x, 3) for x in weights], f"with a loss of {loss(weights):.2f}")
off = dist(found["Adam"], best)
others = max(dist(found[name], best) for name in found if name != "Adam")
sys.exit(not (off > 0.3 and others < 1e-2))
PYTHON
"$folder/venv/bin/python" "$folder/sphere.py"
