"""A network that composes permutations of four things, through the irreps of S4."""

import mechgrok as mg


def main() -> None:
    """Find the irreps that it uses, and the share of each part of the network that they explain."""
    model = mg.character_network("S4", {"sign": 8.0, "standard": 8.0})
    keys = mg.find_key_frequencies(model)
    print(keys)
    measures = mg.representation_measures(model, keys)
    for row in measures.rows():
        print(f"{row['irrep']!s:14} similarity {row['similarity']:6.3f}   embedding {row['embedding']:.3f}")
    print(f"loss of the key irreps alone: {measures.restricted_loss:.2g} nats")
    print(mg.coset_neurons(model))


if __name__ == "__main__":
    main()
