"""A second operand with separate tokens, as in some networks of Zhong et al. 2023."""

import pytest
import torch

import mechgrok as mg
from mechgrok.activations import fit_task
from mechgrok.errors import TaskError
from mechgrok.tasks import task_from_spec


@pytest.mark.parametrize(
    ("sequence", "tokens", "d_vocab", "positions"),
    [
        (("a", "b'"), (3, 9), 14, (0, 1)),
        (("a", "b'", "="), (3, 9, 14), 15, (0, 1)),
        (("a", "+", "b'", "="), (3, 14, 9, 15), 16, (0, 2)),
        (("b'", "a"), (9, 3), 14, (1, 0)),
        (("a", "b", "="), (3, 2, 7), 8, (0, 1)),
    ],
)
def test_tokens(sequence: tuple[str, ...], tokens: tuple[int, ...], d_vocab: int, positions: tuple[int, int]):
    task = mg.modular_task("add", 7, sequence=sequence)
    assert tuple(task.tokens[3 * 7 + 2].tolist()) == tokens
    assert (task.d_vocab, task.n_ctx, task.operand_positions) == (d_vocab, len(sequence), positions)
    assert task.labels[3 * 7 + 2] == 5
    again = task_from_spec(task.spec)
    assert torch.equal(again.tokens, task.tokens)


@pytest.mark.parametrize("sequence", [("a",), ("a", "=", "+"), ("b", "b'")])
def test_both_operands_are_needed(sequence: tuple[str, ...]):
    with pytest.raises(TaskError, match="must contain the operands"):
        mg.modular_task("add", 7, sequence=sequence)


@pytest.mark.parametrize("specials", [(), ("=",)])
def test_a_network_with_twice_the_tokens_is_read_so(specials: tuple[str, ...]):
    sequence = ("a", "b'", *specials)
    task = mg.modular_task("add", 7, sequence=sequence)
    model = mg.build_model(task, mg.ModelConfig(d_model=16, n_heads=2), seed=0)
    assert fit_task(model, mg.modular_task("add", 7)).slots == sequence


def test_the_task_is_inferred():
    plain = mg.cosine_network(7, {1: 9.0, 2: 9.0})
    doubled = mg.HookedTransformer(plain.cfg.replace(d_vocab=14)).double()
    weights = dict(plain.state_dict())
    weights["embed.W_E"] = torch.cat([weights["embed.W_E"]] * 2)
    doubled.load_state_dict(weights)
    grid = mg.cache_grid(doubled)
    assert (grid.task.name, grid.task.slots) == ("add7", ("a", "b'"))
    assert mg.accuracy(grid) == 1.0
