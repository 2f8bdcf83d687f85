"""The embedding at the checkpoints of a run, along its final components."""

import math

import pytest
import torch

import mechgrok as mg
from mechgrok.models.files import save_model

STEPS = (0, 10, 20)
TASK = mg.modular_task("add", 13)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """Three checkpoints of a network whose circle turns by a right angle, grows threefold, and moves away from 0."""
    out = tmp_path_factory.mktemp("course")
    for i, step in enumerate(STEPS):
        model = mg.cosine_network(13, {2: 5.0, 3: 1.0})
        W_E = model.state_dict()["embed.W_E"]
        W_E[:, 2:4] *= 2  # the second circle is the larger one, so that components are waves
        quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double().matrix_power(i)
        W_E[:, :2] = (1 + i) / 3 * W_E[:, :2] @ quarter + 7 * i
        save_model(model, out / f"step_{step}.safetensors")
    return out


def test_scores_are_those_of_the_final_directions(folder):
    course = mg.embedding_course(folder, task=TASK)
    assert course.steps == STEPS
    final = mg.embedding_components(mg.load_model(folder / "step_20.safetensors", task=TASK))
    torch.testing.assert_close(course.final.scores, final.scores)
    torch.testing.assert_close(course.scores[-1], final.scores)
    torch.testing.assert_close(course.variance[-1], final.variance)
    torch.testing.assert_close(course.purity[-1], final.purity)


def test_a_circle_that_grows_and_turns_is_seen_to_do_so(folder):
    course = mg.embedding_course(folder, task=TASK)
    assert course.final.frequency == (3, 3, 2, 2)
    assert [row["components"] for row in course.final.clean_circles()] == [(1, 2), (3, 4)]
    large, small = course.scores[:, :, :2], course.scores[:, :, 2:]
    torch.testing.assert_close(large.norm(dim=2), torch.full((3, 13), 2.0).double())
    for i in range(3):
        torch.testing.assert_close(small[i].norm(dim=1), torch.full((13,), (1 + i) / 3).double())
    angles = torch.view_as_complex(small.contiguous()).angle()
    turns = (angles[2] - angles[1]).remainder(2 * math.pi)
    torch.testing.assert_close(turns.sin().abs(), torch.ones(13).double())
    shares = [2 * (1 + i) ** 2 / 9 / (2 * (1 + i) ** 2 / 9 + 8) for i in range(3)]
    assert course.variance[:, 2:].sum(1).tolist() == pytest.approx(shares)
    torch.testing.assert_close(course.purity, torch.ones(3, 4).double())


def test_steps_may_be_chosen_and_the_components_stay_the_last_ones(folder):
    course = mg.embedding_course(folder, task=TASK, steps=[10, 0])
    assert course.steps == (0, 10)
    torch.testing.assert_close(course.final.scores, mg.embedding_course(folder, task=TASK).final.scores)
    with pytest.raises(mg.ConfigError, match=r"no checkpoint at the steps \[5\]"):
        mg.embedding_course(folder, task=TASK, steps=[5])


def test_rows_have_a_column_for_each_pair(folder):
    course = mg.embedding_course(folder, task=TASK)
    frame = course.frame()
    assert frame["step"].tolist() == list(STEPS)
    assert "purity of components 3 and 4" in frame.columns
    assert str(course) == "EmbeddingCourse(3 checkpoints, steps 0 to 20)"


def test_a_run_in_which_circles_form(tmp_path):
    course = mg.embedding_course("pizza59")
    first, last = course.purity[0, :6], course.purity[-1, :6]
    assert (last > first).all()
    assert len(course.final.clean_circles()) >= 3
    assert course.variance[-1, :6].sum() > 2 * course.variance[0, :6].sum()


def test_the_second_operand_may_have_an_embedding_of_its_own():
    run = mg.train(
        mg.modular_task("add", 7), "alpha-prime", steps=2, checkpoint_every=1, progress=False,
        model=mg.MLPConfig(embeddings="separate", d_embed=16, d_mlp=8),
    )  # fmt: skip
    first, second = (mg.embedding_course(run, operand=operand) for operand in (0, 1))
    assert first.steps == (0, 1, 2)
    W_E = run.model(0).embed_b.W_E.double()
    torch.testing.assert_close(second.scores[0], second.final.project(W_E))
    assert not torch.allclose(first.scores[0].abs(), second.scores[0].abs())


def test_the_figure_has_a_row_for_each_pair_and_one_scale_in_it(folder):
    drawn = mg.embedding_course(folder, task=TASK).figure(pairs=2, snapshots=2)
    assert [note.text for note in drawn.layout.annotations] == [
        "step 0: 97% of variance", "step 20: 80% of variance", "step 0: 3% of variance", "step 20: 20% of variance",
    ]  # fmt: skip
    assert len(drawn.data) == 4
    assert drawn.layout.xaxis.range == drawn.layout.xaxis2.range
    assert drawn.layout.xaxis3.range == drawn.layout.xaxis4.range
    assert drawn.layout.xaxis.range != drawn.layout.xaxis3.range


def test_a_task_without_circles_is_refused():
    task = mg.task_from_function(lambda a, b: max(a, b) > 4, n=9, name="max above 4")
    run = mg.train(task, model=mg.ModelConfig(d_model=16), steps=1, progress=False)
    with pytest.raises(mg.NoGroupError):
        mg.embedding_course(run)
