"""Three ways to ask which frequencies a network uses, and where they disagree.

The network is hand-built: it computes a+b mod 53 with the frequencies 4 and 19, and its embedding also holds
frequency 9, which nothing reads.
"""

import math

import torch

import mechgrok as mg


def network_with_residue() -> mg.HookedTransformer:
    """A network with frequency 9 in the embedding: stronger than the two real ones, but unused."""
    model = mg.cosine_network(53, {4: 30.0, 19: 30.0})
    wave = (2 * math.pi * 9 / 53 * torch.arange(53).double()).cos()
    # The last dimensions of the residual stream hold the logits; a constant over them changes no answer.
    model.state_dict()["embed.W_E"][:, -53:] += 0.5 * wave[:, None]
    return model


def main() -> None:
    """Print what each method finds."""
    model = network_with_residue()
    for method in ("logits", "neurons", "embedding"):
        print(f"{method:10}", mg.find_key_frequencies(model, method))
    full, without = mg.full_loss(model), mg.excluded_loss(model, [9])
    print(f"loss {full:.3g} nats; without frequency 9 {without:.3g}: the network does not need it")


if __name__ == "__main__":
    main()
