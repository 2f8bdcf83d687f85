"""Several operations in one task."""

import pytest
import torch
from planted import cosine_logits

import mechgrok as mg

pytestmark = pytest.mark.bits

ADD, MUL, DIV = (mg.modular_task(name, 7) for name in ("add", "mul", "div"))


@pytest.fixture
def mixture():
    return mg.mixed_task([ADD, MUL, DIV])


def test_inputs_and_labels_are_those_of_the_parts(mixture):
    assert mixture.n_inputs == 49 + 49 + 42
    assert mixture.d_vocab == 7 + 3 + 1
    for part, single, where in zip(mixture.parts, (ADD, MUL, DIV), mixture.ranges, strict=True):
        assert torch.equal(mixture.operands[where], single.operands)
        assert torch.equal(mixture.labels[where], single.labels)
        assert torch.equal(mixture.tokens[where], part.tokens)
        assert part.d_vocab == mixture.d_vocab
    operations = mixture.tokens[:, 1]
    assert operations.unique().tolist() == sorted(
        mixture.special_tokens[name] for name in ("add7", "mul7", "div7")
    )
    assert len(mixture.tokens.unique(dim=0)) == mixture.n_inputs


def test_a_recipe_may_decide_the_sequence(mixture):
    furuta = mixture.with_sequence("a", "op", "b")
    assert furuta.n_ctx == 3
    assert furuta.d_vocab == 7 + 3, "no token for a symbol that nobody reads"
    assert furuta.parts[1].sequence == ("a", "mul7", "b")
    assert mg.task_from_spec(furuta.spec).tokens.tolist() == furuta.tokens.tolist()
    with pytest.raises(mg.TaskError, match="nothing tells the parts of a mixture apart"):
        mixture.with_sequence("a", "b", "=")


def test_parts_with_sequences_of_their_own():
    specials = ("=", "+", "-", "*", "/")
    parts = [
        mg.modular_task(operation, 7, sequence=("a", symbol, "b"), specials=specials)
        for operation, symbol in (("add", "+"), ("a*b+b", "="))
    ]
    mixture = mg.mixed_task(parts)
    assert mixture.slots == ("a", "op", "b")
    assert mixture.d_vocab == 12
    assert mixture.tokens[0].tolist() == [0, 8, 0]
    assert mixture.tokens[49].tolist() == [0, 7, 0]
    assert mixture.operand_positions == (0, 2)
    assert mg.task_from_spec(mixture.spec).tokens.tolist() == mixture.tokens.tolist()


def test_special_tokens_can_be_fixed(mixture):
    fixed = mixture.with_specials("=", "mul7")
    assert fixed.special_tokens == {"=": 7, "mul7": 8, "add7": 9, "div7": 10}
    assert mg.task_from_spec(fixed.spec).special_tokens == fixed.special_tokens


@pytest.mark.parametrize("rule", ["shuffle", "randperm", "unordered"])
def test_a_pair_is_trained_on_in_all_parts_or_in_none(mixture, rule):
    split = mixture.split(0.4, seed=1, rule=rule)
    trained = {tuple(pair) for pair in mixture.operands[split.train].tolist()}
    tested = {tuple(pair) for pair in mixture.operands[split.test].tolist()}
    assert not trained & tested
    assert mixture.part_split(split, 0).train.tolist() == ADD.split(0.4, seed=1, rule=rule).train.tolist()
    of_division = mixture.part_split(split, 2)
    assert of_division.train.shape == (42,)
    assert int(sum(int(mixture.part_split(split, i).train.sum()) for i in range(3))) == int(split.train.sum())
    assert (of_division.fraction, of_division.seed, of_division.rule) == (0.4, 1, rule)


def test_a_mixture_is_rebuilt_from_its_spec(mixture):
    again = mg.task_from_spec(mixture.spec)
    assert isinstance(again, mg.MixedTask)
    assert again.tokens.tolist() == mixture.tokens.tolist()
    assert again.labels.tolist() == mixture.labels.tolist()
    assert [part.name for part in again.parts] == ["add7", "mul7", "div7"]


def test_one_network_learns_them_and_each_part_is_analysed_in_its_own_group(tmp_path, mixture):
    run = mg.train(
        mixture, "furuta", steps=30, fraction=0.5, out=tmp_path / "run", lr=1e-2, progress=False,
        model=mg.ModelConfig(d_model=16, n_heads=2, positions="none"),
    )  # fmt: skip
    run = mg.load_run(run.path)
    assert run.task.n_ctx == 3
    assert run.history[-1]["loss_train"] < run.history[0]["loss_train"]
    whole = run.grid()
    parts = [mg.cache_grid(run.model(), part) for part in run.task.parts]
    # Up to rounding: a library may take another kernel for another number of rows.
    torch.testing.assert_close(torch.cat([grid.logits for grid in parts]), whole.logits, rtol=1e-5, atol=1e-5)
    assert [grid.task.frame.order for grid in parts] == [7, 6, 6]
    losses = [mg.full_loss(grid, run.task.part_split(run.split, i).test) for i, grid in enumerate(parts)]
    sizes = [int(run.task.part_split(run.split, i).test.sum()) for i in range(3)]
    mean = sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)
    assert mean == pytest.approx(run.history[-1]["loss_test"], rel=1e-4)


def test_planted_keys_are_found_in_each_part():
    mixture = mg.mixed_task([mg.modular_task(name, 13) for name in ("add", "mul")])
    planted = [{2: 9.0, 5: 9.0}, {1: 9.0}]
    logits = torch.cat([cosine_logits(part, keys) for part, keys in zip(mixture.parts, planted, strict=True)])
    for part, where, keys in zip(mixture.parts, mixture.ranges, planted, strict=True):
        grid = mg.grid_from_tensors(part, logits[where])
        assert mg.find_key_frequencies(grid).frequencies == tuple(keys)
    with pytest.raises(mg.TaskError, match=r"analyse one of them: cache_grid\(model, task\.parts\[0\]\)"):
        mg.find_key_frequencies(mg.grid_from_tensors(mixture, logits))


def test_what_does_not_go_together_is_refused(mixture):
    cases = [
        ([ADD], "two or more single tasks"),
        ([mixture, ADD], "two or more single tasks"),
        ([ADD, mg.modular_task("add", 11)], r"different numbers: \[7, 11\]"),
        ([ADD, ADD], "nothing tells the parts of a mixture apart"),
        ([ADD.with_sequence("a", "+", "b"), MUL], "either all parts have a sequence of their own"),
        ([ADD.with_sequence("a", "+", "b"), MUL.with_sequence("a", "b", "*")], "operands at the same places"),
    ]
    for parts, text in cases:
        with pytest.raises(mg.TaskError, match=text):
            mg.mixed_task(parts)
    with pytest.raises(mg.TaskError, match="analyse one of them"):
        mixture.in_basis(mg.fourier_basis(7))
    with pytest.raises(mg.TaskError, match="shuffle the labels of the parts"):
        mg.random_labels(mixture)
    assert mg.mixed_task([ADD, mg.random_labels(ADD)]).n_inputs == 98
