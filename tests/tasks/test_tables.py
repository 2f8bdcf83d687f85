"""User-defined tasks: from a function, or from the table of its answers."""

import pickle

import numpy as np
import pytest
import torch

import mechgrok as mg
from mechgrok.tasks import Finite
from mechgrok.training.objectives import CrossEntropy
from mechgrok.training.step import AutogradStep, make_step


def test_a_function_of_two_operands_is_analysed_in_z_n():
    task = mg.task_from_function(lambda a, b: max(a, b), n=31, name="max")
    a, b = task.operands.T
    assert torch.equal(task.labels, torch.maximum(a, b))
    assert (task.n_inputs, task.n_classes, task.name, task.slots) == (961, 31, "max", ("a", "b", "="))
    assert task.frame.order == 31
    sums = mg.task_from_function(lambda a, b: (a + b) % 11, n=11)
    assert torch.equal(sums.labels, mg.modular_task("add", 11).labels)
    assert torch.equal(sums.frame.results, mg.modular_task("add", 11).frame.results)


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_a_table_is_a_tensor_an_array_or_lists(kind):
    table = [[0, 2, 1], [2, 1, 0], [1, 0, 2]]
    task = mg.task_from_table(kind(table))
    assert task.labels.tolist() == [answer for row in table for answer in row]


def test_operands_of_different_ranges():
    task = mg.task_from_function(lambda a, b: a * b % 4, n=(3, 4))
    assert (task.n_symbols, task.n_classes, task.n_inputs) == (4, 4, 12)
    assert task.operands[-1].tolist() == [2, 3]
    with pytest.raises(mg.NoGroupError, match="3 and 4 values"):
        _ = task.frame


def test_three_operands_are_read_and_answered_and_sit_in_no_group():
    task = mg.task_from_function(lambda a, b, c: (a + b * c) % 5, n=5)
    a, b, c = task.operands.T
    assert torch.equal(task.labels, (a + b * c) % 5)
    assert task.slots == ("a", "b", "c", "=")
    assert task.tokens[1 * 25 + 2 * 5 + 3].tolist() == [1, 2, 3, 5]
    assert task.operand_positions == (0, 1, 2)
    with pytest.raises(mg.TaskError, match="must contain the operands 'a' and 'b' and 'c'"):
        task.with_sequence("a", "b", "=")


@pytest.mark.parametrize("sequence", [("a", "b", "c", "="), ("c", "a", "b")])
def test_the_hand_written_step_of_three_operands_has_the_gradients_of_autograd(sequence):
    task = mg.task_from_function(lambda a, b, c: (a + b + c) % 5, n=5, sequence=sequence)
    model, train = mg.build_model(task, mg.ModelConfig(d_model=16), seed=0), task.split(0.5).train
    data = Finite(task.examples, train)
    step = make_step(model, task, data, CrossEntropy())
    loss = step()
    ours = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    assert loss.item() == pytest.approx(
        AutogradStep(model, task.signature, data, CrossEntropy())().item(), rel=1e-5
    )
    for name, weight in model.named_parameters():
        assert torch.allclose(ours[name], weight.grad, atol=1e-5), name


def test_truth_values_are_two_classes():
    task = mg.task_from_function(lambda a, b: (a + b) % 2 == 0, n=9, name="parity")
    assert task.n_classes == 2
    assert task.labels.tolist() == [int((a + b) % 2 == 0) for a in range(9) for b in range(9)]
    with pytest.raises(mg.NoGroupError, match=r"it has 2 answers.* losses, accuracies"):
        _ = task.frame


def test_inputs_without_an_answer_are_left_out():
    task = mg.task_from_function(lambda a, b: None if b == 0 else a // b, n=4)
    assert task.n_inputs == 12
    assert (task.operands[:, 1] > 0).all()
    with pytest.raises(mg.NoGroupError, match="no answer for some pairs"):
        _ = task.frame


@pytest.mark.parametrize(
    "task",
    [
        mg.task_from_function(max, n=5, name="max"),
        mg.task_from_function(lambda a, b, c: a ^ b ^ c, n=4, sequence=("a", "b", "c")),
        mg.task_from_table(np.arange(6).reshape(2, 3)),
    ],
    ids=str,
)
def test_a_task_is_stored_pickled_and_split(task):
    for again in (mg.task_from_spec(task.spec), pickle.loads(pickle.dumps(task))):
        assert torch.equal(again.tokens, task.tokens)
        assert torch.equal(again.labels, task.labels)
        assert (again.name, again.n_classes, again.spec) == (task.name, task.n_classes, task.spec)
    assert task.split(0.5).train.sum() == task.n_inputs // 2


def test_a_task_without_a_group_is_trained_measured_and_opened(tmp_path):
    task = mg.task_from_function(lambda a, b: a > b, n=7, name="greater")
    (member,) = mg.train_many(
        task,
        model=mg.ModelConfig(d_model=16),
        seeds=[0],
        steps=30,
        out=tmp_path,
        workers=1,
        progress=False,
    )
    assert member.error is None
    run = mg.load_run(member.run.path)
    assert run.task.name == "greater"
    assert mg.full_loss(run, run.split.test) == pytest.approx(run.history[-1]["loss_test"], rel=1e-4)
    with pytest.raises(mg.NoGroupError, match="key frequencies, has no value"):
        mg.find_key_frequencies(run)
    table = mg.progress_measures(run, ["loss_test", "restricted_loss", "margin_min"], progress=False)
    assert table["restricted_loss"] == (None, None)
    assert "sits in no group" in table.undefined["restricted_loss"][0]
    assert None not in table["loss_test"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mg.task_from_function(lambda a, b: a / 2, n=3), r"gives 0\.0 for a=0, b=0"),
        (lambda: mg.task_from_function(lambda a, b: a - b, n=3), "gives -1 for a=0, b=1"),
        (lambda: mg.task_from_function(lambda a, b: 1 // a, n=3), "fails for a=0, b=0: ZeroDivisionError"),
        (lambda: mg.task_from_function(lambda a: a, n=3), "2 to 4 operands, got 1"),
        (lambda: mg.task_from_function(max, n=10**5), "a task has 2 to"),
        (lambda: mg.task_from_table([[0, 1], [1]]), r"table\[a\]\[b\]"),
        (lambda: mg.task_from_table(torch.randn(3, 3)), "whole numbers"),
        (lambda: mg.task_from_table([[5, 5], [5, 5]], n_classes=3), "above the largest answer, 5; got 3"),
        (lambda: mg.task_from_table([[-1, -1], [-1, -1]]), "no answer at all"),
    ],
)
def test_what_is_no_task_is_refused(make, text):
    with pytest.raises(mg.TaskError, match=text):
        make()


def test_a_misspelt_operation_gets_its_close_names():
    with pytest.raises(mg.TaskError, match=r"unknown operation 'ad'; did you mean add\?"):
        mg.modular_task("ad", 31)
    assert mg.modular_task("ab", 5).labels.equal(mg.modular_task("mul", 5).labels)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("fraction", ["0.5", None, [0.5]])
def test_a_fraction_that_is_no_number(fraction):
    with pytest.raises(mg.ConfigError, match=r"such as 0\.3; got"):
        mg.modular_task("add", 5).split(fraction)
