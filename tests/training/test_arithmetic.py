"""Arithmetic of training: threads, subnormals, the precision of products."""

import pytest
import torch

import mechgrok as mg
from mechgrok.training.arithmetic import steady_arithmetic

pytestmark = pytest.mark.bits

SMALL = {"model": mg.ModelConfig(d_model=16), "checkpoint_every": 10, "progress": False}
TASK = mg.modular_task("add", 5)


@pytest.fixture
def loose_products():
    """A process in which products of float32 may be computed in less."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


def test_the_process_is_left_as_it_was(loose_products):
    threads = torch.get_num_threads()

    def interrupted():
        with steady_arithmetic(3):
            assert torch.get_num_threads() == 3
            assert torch.get_float32_matmul_precision() == "highest"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert torch.get_num_threads() == threads
    assert torch.get_float32_matmul_precision() == "medium"


def test_a_run_goes_on_in_the_threads_that_it_was_begun_with(tmp_path):
    seen = []

    def note(step, model):
        seen.append((step, torch.get_num_threads()))

    torch.set_num_threads(2)
    run = mg.train(TASK, steps=10, out=tmp_path / "run", callback=note, **SMALL)
    assert run.config.threads == 2
    torch.set_num_threads(1)
    again = mg.train(TASK, steps=20, out=tmp_path / "run", callback=note, **SMALL)
    assert seen == [(0, 2), (10, 2), (20, 2)]
    assert again.config.threads == mg.load_run(run.path).config.threads == 2
    assert torch.get_num_threads() == 1


def test_a_run_that_does_not_say_its_threads_goes_on_in_those_of_the_process(tmp_path):
    run = mg.train(TASK, steps=10, out=tmp_path / "run", **SMALL)
    old = mg.Run(run.path, run.config.replace(threads=None))
    old.write_config()
    assert mg.train(TASK, steps=20, out=run.path, **SMALL).steps == (0, 10, 20)


def test_members_in_processes_of_their_own_have_one_thread_each(tmp_path):
    torch.set_num_threads(2)
    member = mg.train_many(TASK, seeds=[0], out=tmp_path, steps=3, workers=1, **SMALL)[0]
    assert member.run.config.threads == 1
