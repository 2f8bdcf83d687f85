"""Train a small network until it groks, and print the restricted and excluded loss at its checkpoints."""

import mechgrok as mg


def main(p: int = 31, steps: int = 600) -> None:
    """Train, then measure every checkpoint with the key frequencies of the last one."""
    task = mg.modular_task("add", p)
    small = mg.ModelConfig(d_model=64)
    run = mg.train(task, "fast", model=small, fraction=0.6, steps=steps, checkpoint_every=50, progress=False)
    keys = mg.find_key_frequencies(run.grid())
    print(keys)
    print("step   train   test    restricted  excluded   (nats)")
    for step in run.steps:
        grid = run.grid(step)
        losses = (
            mg.full_loss(grid, run.split.train),
            mg.full_loss(grid, run.split.test),
            mg.restricted_loss(grid, keys),
            mg.excluded_loss(grid, keys, run.split.train),
        )
        print(f"{step:4}", *(f"{loss:9.2g}" for loss in losses))


if __name__ == "__main__":
    main()
