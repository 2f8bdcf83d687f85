"""Analyse a network of the installed TransformerLens, without converting it first."""

import mechgrok as mg


def native_network() -> object:
    """A stand-in for a network that you trained: ours, as an object of the installed TransformerLens."""
    task = mg.modular_task("add", p=23)
    small = mg.ModelConfig(d_model=64)
    run = mg.train(task, "fast", model=small, fraction=0.7, steps=300, progress=False)
    return mg.to_transformer_lens(run.model())


def main() -> None:
    """Everything accepts the native object; the task is inferred from its answers, if it has learned one."""
    native = native_network()
    print(type(native).__module__, type(native).__name__)
    task = mg.modular_task("add", p=23)
    grid = mg.cache_grid(native, task, ["blocks.0.mlp.hook_post", "blocks.0.attn.hook_pattern"])
    print("attention from the last position, per head:", grid["blocks.0.attn.hook_pattern"].mean(0).tolist())
    print(mg.find_key_frequencies(grid))
    print(mg.neuron_frequencies(grid))
    print(mg.summarize(grid).verdict)


if __name__ == "__main__":
    main()
