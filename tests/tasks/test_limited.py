"""Sequences with unlimited and limited data: tokens, answers, and that no train input is a test input."""

import pickle

import pytest
import torch

import mechgrok as mg
from mechgrok.tasks.data import seeded

SMALL = {"progress": False, "steps": 4, "model": mg.ModelConfig(d_model=16, n_heads=2)}
LIMITED = {
    "digits": mg.digit_addition_task(2, finite=50),
    "few numbers": mg.digit_addition_task(1, finite=60),
    "subsequences": mg.repeated_sequence_task(9, 21, subsequence=5, repeats=3, finite=40),
    "skip trigrams": mg.skip_trigram_task(3, 9, finite=30),
}


def number(digits: torch.Tensor) -> torch.Tensor:
    return (digits * 10 ** torch.arange(digits.shape[1] - 1, -1, -1)).sum(1)


@pytest.mark.parametrize("n", [1, 5, 18])
def test_sums_are_right_to_the_last_carry(n):
    task = mg.digit_addition_task(n)
    tokens, digits = task.draw(300, seeded("test"))
    x, plus, y, equals, z = tokens.split([n, 1, n, 1, n + 1], dim=1)
    assert (tokens.shape[1], set(plus.flatten().tolist()), set(equals.flatten().tolist())) == (
        3 * n + 3, {10}, {11}
    )  # fmt: skip
    assert torch.equal(z, digits)
    for row in range(len(x)):
        a, b, c = (int("".join(map(str, part[row].tolist()))) for part in (x, y, z))
        assert a + b == c
    assert torch.equal(tokens[:, [2 * n + 2 + i for i in range(n + 1)]], digits)
    # the answers are read one position before they stand there, from the "=" on
    scored = [3 * n + 3 + place for place in task.signature.scored]
    assert scored == [2 * n + 1 + i for i in range(n + 1)]
    assert len(task.position_labels) == n + 1


def test_a_carry_runs_through_all_digits():
    nines = torch.full((1, 6), 9)
    one = torch.tensor([[0, 0, 0, 0, 0, 1]])
    from mechgrok.tasks.digit_addition import sum_digits

    assert sum_digits(nines, one).tolist() == [[1, 0, 0, 0, 0, 0, 0]]


def test_subsequences_come_back_in_every_interval():
    task = mg.repeated_sequence_task()
    tokens, targets, positions = task.draw(400, seeded("test"))
    assert tokens.shape == (400, 85)
    assert targets.shape == positions.shape == (400, 30)
    assert torch.equal(tokens[:, 0], torch.zeros(400).long())
    assert (tokens[:, 1:].min(), tokens.max()) == (1, 127)
    assert torch.equal(tokens.gather(1, positions + 1), targets)
    for repeat in (0, 1):
        start = positions[:, 15 * repeat]
        interval = 28 * (repeat + 1)
        assert (start - interval).min() == 1
        assert (start - interval).max() == 28 - 16 + 1
        offsets = positions[:, 15 * repeat : 15 * (repeat + 1)] - start[:, None]
        assert torch.equal(offsets, torch.arange(15).expand(400, 15))
    # what is asked for has been seen before, behind the same tokens
    assert torch.equal(targets[:, :15], targets[:, 15:])
    seen = tokens[:, 1:29].unfold(1, 15, 1)
    assert (seen == targets[:, None, :15]).all(2).any(1).all()


def test_one_key_among_the_noise_is_the_answer():
    task = mg.skip_trigram_task()
    tokens, keys = task.draw(2000, seeded("test"))
    assert tokens.shape == (2000, 42)
    assert set(tokens[:, 0].tolist()) == {0}
    assert set(tokens[:, -1].tolist()) == {1}
    within = tokens[:, 1:-1]
    is_key = within >= 12
    assert torch.equal(is_key.sum(1), torch.ones(2000).long())
    assert torch.equal(within[is_key] - 12, keys)
    assert set(is_key.nonzero()[:, 1].tolist()) == set(range(40))
    assert set(within[~is_key].tolist()) == set(range(2, 12))
    assert task.signature.reads_last


@pytest.mark.parametrize("name", LIMITED)
def test_nothing_is_tested_that_was_trained_on(name):
    task = LIMITED[name]
    split = task.split(0.3, seed=5)
    assert split.train.sum() == task.finite
    assert split.test.any()
    assert len(task.inputs.unique(dim=0)) == task.n_inputs
    assert torch.equal(task.data(split).batch(0).inputs, task.inputs[: task.finite])
    unseen = task.sample_unseen(500, seeded("test")).inputs
    train = {tuple(row) for row in task.inputs[: task.finite].tolist()}
    assert len(unseen)
    assert not train & {tuple(row) for row in unseen.tolist()}


def test_limited_data_are_as_many_as_there_are_and_no_more():
    task = mg.digit_addition_task(1, finite=60)
    assert task.n_inputs == 100
    assert {tuple(row) for row in task.inputs[:, [0, 2]].tolist()} == {
        (a, b) for a in range(10) for b in range(10)
    }
    with pytest.raises(
        mg.TaskError, match="finite=100 leaves nothing to test on: there are no more than 100"
    ):
        mg.digit_addition_task(1, finite=100)


def test_limited_data_follow_from_the_seed_of_the_task():
    tasks = [mg.skip_trigram_task(finite=20, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(tasks[0].inputs, tasks[1].inputs)
    assert not torch.equal(tasks[0].inputs, tasks[2].inputs)
    assert torch.equal(tasks[0].split(0.1, seed=3).train, tasks[0].split(0.9, seed=4).train)


@pytest.mark.parametrize("name", LIMITED)
def test_limited_tasks_are_stored_pickled_trained_and_resumed(name, tmp_path):
    task = LIMITED[name]
    assert torch.equal(mg.task_from_spec(task.spec).inputs, task.inputs)
    assert pickle.loads(pickle.dumps(task)) == task
    whole = mg.train(task, batch_size=16, **SMALL)
    mg.train(task, batch_size=16, out=tmp_path / "run", **(SMALL | {"steps": 2}))
    again = mg.train(task, batch_size=16, out=tmp_path / "run", **SMALL)
    for parameter, weight in whole.model().named_parameters():
        assert torch.equal(weight, again.model().get_parameter(parameter)), parameter
    row = again.history[-1]
    assert row["loss_train"] is not None
    for part, mask in (("train", again.split.train), ("test", again.split.test)):
        assert mg.full_loss(again, mask) == pytest.approx(row[f"loss_{part}"], rel=1e-5)


def test_unlimited_data_are_fresh_in_every_update():
    task = mg.repeated_sequence_task(9, 21, subsequence=5, repeats=3)
    run = mg.train(task, **SMALL)
    assert run.history[-1]["loss_train"] is None
    data = task.data(run.split, seed=0)
    assert len(data.batch(0)) == 128
    batches = {tuple(data.batch(update).inputs.flatten().tolist()) for update in range(3)}
    assert len(batches) == 3


def test_activations_are_those_of_the_positions_of_each_input():
    task = mg.repeated_sequence_task(9, 21, subsequence=5, repeats=3)
    model = mg.build_model(task, mg.ModelConfig(d_model=16, n_heads=2), seed=0)
    site, pattern = "blocks.0.hook_resid_post", "blocks.0.attn.hook_pattern"
    grid = mg.cache_grid(model, task, [site, pattern])
    logits, everything = model.run_with_cache(task.inputs)
    for row in (0, 7, 499):
        at = task.examples.positions[row]
        torch.testing.assert_close(grid[site][row], everything[site][row, at])
        torch.testing.assert_close(grid[pattern][row], everything[pattern][row][:, at].movedim(1, 0))
        torch.testing.assert_close(grid.logits[row], logits[row, at].detach())


def test_positions_have_to_come_with_the_inputs():
    class NoPositions(mg.StreamTask, kind="no_positions_of_tests"):
        what: str = "none"

        @property
        def signature(self):
            return mg.Signature(inputs=mg.Tokens(d_vocab=3, n_ctx=4), outputs=mg.Classes(n=3), scored=2)

        def draw(self, n, generator):
            tokens = torch.randint(3, (n, 4), generator=generator)
            positions = {"none": (), "other": (torch.zeros(n, 3).long(),), "floats": (torch.zeros(n, 2),)}
            return tokens, tokens[:, :2], *positions[self.what]

    for what in ("other", "floats"):
        with pytest.raises(
            mg.TaskError, match="positions of NoPositions are whole numbers from 0 on, one for each"
        ):
            NoPositions(what=what)
    task = NoPositions()
    with pytest.raises(mg.TaskError, match="the inputs come without them"):
        mg.cache_grid(mg.build_model(task, mg.ModelConfig(d_model=8), seed=0), task)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mg.digit_addition_task(0), "greater than or equal to 1"),
        (lambda: mg.digit_addition_task(101), "less than or equal to 100"),
        (lambda: mg.repeated_sequence_task(9, 12, subsequence=4, repeats=3), "they need length=13 or more"),
        (lambda: mg.repeated_sequence_task(2), "greater than or equal to 3"),
        (lambda: mg.repeated_sequence_task(repeats=1), "greater than or equal to 2"),
        (lambda: mg.skip_trigram_task(10, 2), "greater than or equal to 3"),
        (lambda: mg.skip_trigram_task(2, 3, finite=5), "there are no more than 2 different"),
        (lambda: mg.skip_trigram_task(finite=-1), "greater than or equal to 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, text):
    with pytest.raises(mg.TaskError, match=text):
        make()
