"""500 randomly drawn files: each opens as exactly the saved network, or is refused with a remedy."""

import re

import torch
from drawn_files import draw_file
from plain_transformer import TOKENS

from mechgrok.errors import CheckpointError
from mechgrok.models.layouts import model_from_tensors

N_FILES = 500
WAY_OUT = re.compile(
    r"config=|rename=|drop it|cannot be represented|one hidden layer, with a gate|TransformerEnc"
)


def test_no_drawn_file_opens_as_another_network():
    """Nearly all that tell everything open; what is refused says why."""
    wrong, silent, refused, complete, opened = [], [], [], 0, 0
    for seed in range(N_FILES):
        drawn = draw_file(seed)
        complete += drawn.complete
        try:
            model = model_from_tensors(drawn.tensors, drawn.header, config=drawn.config)
        except CheckpointError as error:
            if not WAY_OUT.search(str(error)) or len(str(error)) > 1000:
                silent.append((seed, str(error)))
            if drawn.complete:
                refused.append((seed, str(error)))
            continue
        opened += drawn.complete
        expected = drawn.plain.logits()
        with torch.no_grad():
            error = (model(TOKENS)[:, -1] - expected).abs().max().item()
        if not error < 1e-4 * max(1.0, expected.abs().max().item()):
            wrong.append((seed, error, drawn.plain, drawn.header, str(model.layout)))
    assert not wrong, f"{len(wrong)} files opened as another network, such as {wrong[0]}"
    assert not silent, f"{len(silent)} refusals name no way out, such as {silent[0]}"
    assert complete > N_FILES / 3
    assert opened >= 0.97 * complete, f"{len(refused)} of {complete} complete files refused: {refused[:5]}"
