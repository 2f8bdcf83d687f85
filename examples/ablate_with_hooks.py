"""Ablations are hooks: use them in any forward pass, together with other hooks."""

import torch

import mechgrok as mg


def main() -> None:
    """Remove the sine of one frequency at each site, then run the hooks manually on a few inputs."""
    model = mg.cosine_network(29, {3: 12.0, 10: 12.0})
    for site in ("embed", "neurons", "logits"):
        for component in ("cos", "sin", "both"):
            print(mg.ablate(model, [3], component, site))

    ablation = mg.ablate(model, [3, 10], site="neurons", keep=True)
    seen: list[torch.Size] = []

    def look(activation: torch.Tensor, hook: object) -> None:
        seen.append(activation.shape)

    tokens = torch.tensor([[2, 5], [20, 20]])
    logits = model.run_with_hooks(tokens, fwd_hooks=[*ablation.hooks, ("blocks.0.mlp.hook_post", look)])
    print("answers with the keys alone:", logits[:, -1].argmax(1).tolist(), "neurons seen:", seen)


if __name__ == "__main__":
    main()
