"""Catalogue of reproductions: source, claim, cost and deviations of every protocol, which is imported when run."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

from mechgrok.experiments.reproduction import REPRODUCTIONS, Curve, Protocol, Reproduction, Row


@dataclass(frozen=True)
class _Later:
    """A protocol of this package by its module and name, so that listing the reproductions does not load torch."""

    module: str
    function: str

    @property
    def found(self) -> Protocol:
        return getattr(import_module(f"{__package__}.{self.module}"), self.function)

    def __call__(self, full: bool) -> Iterable[Row | Curve]:
        return self.found(full)


FURUTA = (
    "The quick size has a higher learning rate than the paper's 1e-3, and a warm-up of 10 steps.",
    "Two seeds, where the paper has three; every row has to hold for each.",
    "From which accuracy the paper ticks we do not know; here it is 95%. The highest that it prints instead is 92%.",
    "In networks of one operation its token is always the same; the paper has one for each elementary operation.",
    "Operands run over 0..96, as the paper says; its code lets them run over 0..101.",
)
POWER = (
    "The quick size has the recipe `fast`: one layer, full batches, a learning rate of 1e-2. The full size has two "
    "layers and batches of 512, as the paper, for 100,000 steps.",
    "The settings of the quick size were chosen on the seeds 0 to 5, which are not among the recorded ones.",
)
PAIR = (
    "Theirs trains on each unordered pair once; ours on both orders, so that pairs (a, a) have half the weight.",
)

CATALOGUE = (
    Reproduction(
        "chughtai2023-s5",
        citation="Chughtai et al. 2023, sections 5 and 6 and the authors' released networks",
        claim=(
            "A network that composes permutations of five does it by the characters of a few irreps, of which the seed "
            "decides the rest but the sign is nearly always one."
        ),
        cost="6 minutes",
        deviations=(
            "The quick size has ten times the learning rate and 60% of the pairs (the fraction of the authors' "
            "transformers) for 2,000 steps instead of 250,000, and two seeds of four.",
            "The published numbers are those of the authors' seed 2, which other seeds differ from.",
            "A key irrep has at least 1% of the strongest one's power; the authors' rule, a similarity above 0.005, "
            "takes up traces of others in a network that was trained for less long.",
        ),
        protocol=_Later("chughtai2023", "composition"),
    ),
    Reproduction(
        "data-regimes",
        citation="Nanda et al. 2023, section on limited data and appendix, and the authors' published curves",
        claim=(
            "Too much data, and a network generalises at once; too little, and it learns them by heart; between, it "
            "groks: regularisation, a phase change and limited data together."
        ),
        cost="10 minutes",
        deviations=(
            "At the quick size modular addition has the recipe `fast`, with ten times the paper's learning rate, which "
            "brings the test loss closer behind the train loss.",
            "Digits and skip trigrams are those of nanda2023-five-digit and nanda2023-skip-trigram, with their "
            "deviations.",
        ),
        protocol=_Later("data_regimes", "data_regimes"),
    ),
    Reproduction(
        "furuta2024-cogrokking",
        citation="Furuta et al. 2024, section on co-grokking",
        claim="One network groks a+b, a-b and a*b together, but needs more of the data than for each alone.",
        cost="12 minutes",
        deviations=(
            *FURUTA,
            "The loss is the mean over all inputs, in the paper the sum of the means of the operations: three times "
            "as much, which AdamW does not notice.",
            "That each alone groks at 30% is a row of furuta2024-operations.",
        ),
        protocol=_Later("furuta2024", "cogrokking"),
    ),
    Reproduction(
        "furuta2024-operations",
        citation="Furuta et al. 2024, sections 4 and 5 and the tables of test accuracies",
        claim=(
            "At 30% of the pairs sums of powers and what factorises grok, polynomials with a cross term do not; the "
            "embedding of a sum is sparse and balanced, that of a product dense in the basis of addition."
        ),
        cost="12 minutes",
        deviations=(
            *FURUTA,
            "a-b has 4,000 steps at the quick size, which it needs; the others have 2,000. One network of (a+b)^2 "
            "comes to rest at 96% there: with a bound of 99% this protocol would not hold.",
            "The paper's dense spectrum of a product is that of the wrong basis: in the characters it is as sparse "
            "as that of a sum.",
            "That the FCR of a product falls is an accident of few keys: a character is an even or an odd function "
            "of the residue, and only where all keys are of one kind are cosines or sines missing. The row has no "
            "bounds.",
        ),
        protocol=_Later("furuta2024", "operations"),
    ),
    Reproduction(
        "furuta2024-transfer",
        citation="Furuta et al. 2024, section on pre-grokked models and the table of smallest fractions",
        claim=(
            "A frozen embedding, or a frozen body, from a network that grokked lets an operation grok on less data "
            "than from scratch where the two belong together, and keeps it from grokking where they do not."
        ),
        cost="10 minutes",
        deviations=(
            *FURUTA,
            "Networks around a frozen body have a learning rate of 3e-3 at the quick size, the others one of 1e-2, "
            "at which a frozen body does not come to rest. With it 2a+b comes to 98% or 99%, and not further.",
            "(a-b)^2 from scratch has 5,000 steps at 3e-3 at the quick size: at 1e-2 the two networks came to rest "
            "at 79% and 86%, and at 3e-3 they had 88% and 98% after 3,000 steps. With a part of another network it "
            "has 2,000; the best of these four is then at 34% and gains 3% in 500 steps.",
            "Not reproduced, with one network each at the quick size: ab+b with PG-T of a+b has 31% after 1,500 "
            "steps, and with PG-E of a*b at 40% of the pairs 14% after 2,000, where the table has them grok.",
        ),
        protocol=_Later("furuta2024", "transfer"),
    ),
    Reproduction(
        "grokfast2024",
        citation="Lee et al. 2024, section 4 (algorithmic data) and the released code",
        claim="Amplifying the slow part of the gradients brings generalisation forward more than tenfold.",
        cost="10 minutes",
        deviations=(
            "The task is a/b mod 97; the authors' code has x*y with y != 0, the same table with b inverted.",
            "Initial weights are TransformerLens's, not torch's default, and the network is pre-LayerNorm.",
            "The baseline runs for 5,000 steps at the quick size and is compared with that bound if it needs more.",
            "As in the paper, the accelerated runs have a little weight decay and the baseline has none.",
        ),
        protocol=_Later("grokfast2024", "acceleration"),
    ),
    Reproduction(
        "gromov2023",
        citation="Gromov 2023, section 3 (the analytic solution) and figures 0 and 3",
        claim=(
            "A network of squares with random phases adds without having been trained, and gradient descent without "
            "weight decay finds such a network: one frequency for each neuron, all frequencies among them, and an "
            "output phase that is the sum of both input phases."
        ),
        cost="7 minutes",
        deviations=(
            "The paper states no learning rate, and no width of the trained network. That of the recipe, with 500 "
            "neurons, takes about as many steps as the paper's figure, from which the two numbers of steps are read.",
            "The quick size has ten times that learning rate, and 3,000 of its steps count as 30,000; the full size "
            "has 100,000. Neurons go on becoming purer all the while.",
            "Accuracies of the construction are means over ten draws of the phases. The paper's figure has a network "
            "without a wrong answer from 90 to 100 neurons on; with 100 neurons ours are wrong for 2 inputs of a "
            "thousand, and with 200 for none.",
            "A neuron counts as a wave of one frequency where this has half of the variance of its pre-activation.",
        ),
        protocol=_Later("gromov2023", "analytic_solution"),
    ),
    Reproduction(
        "liu2022-phase-diagram",
        citation="Liu et al. 2022, section 4.1 and the appendix on phase diagrams (toy model, regression)",
        claim=(
            "The learning rate and the weight decay of the decoder alone decide whether the toy model comprehends, "
            "groks, memorises or learns nothing; it generalises only where the embedding learns fast enough beside "
            "the decoder."
        ),
        cost="2 minutes",
        deviations=(
            "The quick size has 8,000 steps in place of 100,000, and 16 cells with a seed each. So what would grok "
            "later counts as memorisation, and what would be learned later as confusion.",
            "Only ten pairs are tested, so that the 90% of the paper's table are nine of them. The train pairs are "
            "drawn so that they imply all others: where the only pairs of two sums are tested, no network reaches 90%.",
            "Contrary to the paper's order of phases, decay delays at the slowest decoder: it comprehends without "
            "decay and with 1, groks with 3 and learns nothing with 8. At the other rates nothing generalises in "
            "8,000 steps.",
        ),
        protocol=_Later("liu2022", "phase_diagram"),
    ),
    Reproduction(
        "liu2022-rqi",
        citation="Liu et al. 2022, sections 3.1 and 3.2, appendix E, and the authors' released code and runs",
        claim=(
            "The parallelograms of the embedding predict the accuracy of the toy model, the train pairs decide "
            "whether a line is the only embedding that fits, and the third eigenvalue of the effective loss gives "
            "the steps until it is there."
        ),
        cost="2 minutes",
        deviations=(
            "The published steps are medians of the runs that were released with the code: three for 45 train pairs, "
            "two for 54, one for 30.",
            "Parallelograms are counted with the tolerance of the code, a tenth of a deviation, not with the printed "
            "hundredth of a variance.",
            "The third eigenvalue is that of the sum over parallelograms. With the mean, as printed, n_h would be "
            "16,000 for 45 train pairs, where the released runs take 900 steps.",
            "Not reproduced: with 30 train pairs a line is the only embedding that fits, and n_h is 1,800; yet none of "
            "our five seeds has one after 5,000 steps, so that accuracy falls far short of the ideal. One released "
            "run takes 739 steps.",
        ),
        protocol=_Later("liu2022", "rqi"),
    ),
    Reproduction(
        "logit-scale2026",
        citation="Truong 2026, sections 3 and 4, and the set-up of Truong et al. 2026 (arXiv 2606.13753)",
        claim=(
            "With the norm of the weights held fixed, a temperature that divides the logits in the loss slides the "
            "delay of grokking over the whole range that a higher norm spans: the norm acts through the scale of the "
            "logits."
        ),
        cost="8 minutes",
        deviations=(
            "The quick size raises the norm by 10% in place of 15%, and has one seed of twelve.",
            "The norm is held from step 500 on; from which step on it is in the paper we do not know.",
            "How the scale of the logits is measured we do not know. Here it is taken where the test loss has come "
            "down to 0.3, over the temperature: the mean margin of the train inputs, and the root of the mean square "
            "of all logits, less their mean over the classes. At the same margin 74% of the delay is recovered, at "
            "the same spread 59%; the paper has 83%, with twelve seeds 82% to 85%.",
            "The trained networks have no weights for an equals sign, which the paper embeds and its network does not "
            "read.",
        ),
        protocol=_Later("logit_scale2026", "temperature_and_norm"),
    ),
    Reproduction(
        "mccracken2025-degree-one",
        citation="McCracken et al. 2025, theorems 4.4 and 4.7 and the experiments on sines",
        claim=(
            "Neurons of the first layer read sums of one sine of each operand, in clocks and pizzas alike, so that "
            "each is active on approximate cosets; and a number of frequencies that grows with log n is enough."
        ),
        cost="3 minutes",
        deviations=(
            "Fitted sines stand in place of what the neurons of three networks read that come with mechgrok; the paper "
            "has hundreds of networks.",
            "In place of the paper's unknown settings the two architectures have those of Zhong et al. 2023 with five "
            "times the learning rate, on 80% of the pairs.",
            "Not reproduced for attention: with one sine of each operand in place of what its neurons read, the "
            "network with attention rate 1 answers 94% of the inputs, and that of Nanda et al. 86%. With the products "
            "of the operands at the same frequency both answer all of them. Nor are their neurons active on "
            "approximate cosets alone, as those without attention are.",
            "The paper counts 3 to 7 frequencies in networks with trained embeddings; ours have 9 and 11 keys.",
            "A neuron counts as active from a tenth of its largest activation. That n = 66 prefers frequencies that "
            "divide it is left out.",
        ),
        protocol=_Later("mccracken2025", "degree_one"),
    ),
    Reproduction(
        "moisescu2025-phase-alignment",
        citation="Moisescu-Pareja, McCracken et al. 2025, abstract and theorem 4.1; numbers as we measured them",
        claim=(
            "Networks with uniform and with trained attention see the operands on the same manifold, a disc of two "
            "dimensions on which they are added as vectors; only where embeddings stand side by side is it a torus of "
            "four."
        ),
        cost="4 minutes",
        deviations=(
            "The paper finds the manifolds by persistent homology over hundreds of networks. Here it is the resultant "
            "length of the difference of both phases over the neurons, 1 for the disc and about 0 for the torus, and "
            "the number of principal components with 95% of the variance of a frequency's neurons.",
            "Trained with five times the learning rate of Zhong et al. 2023 for 1,600 steps, two seeds of ten.",
            "Where operands share an embedding and attention weighs them alike, phases can hardly differ: the measure "
            "reads the architecture as much as an algorithm. That clock and pizza are one does not follow; without "
            "products before the neurons the networks with attention lose answers, and those without lose none.",
        ),
        protocol=_Later("moisescu2025", "phase_alignment"),
    ),
    Reproduction(
        "nanda2023-five-digit",
        citation="Nanda et al. 2023, appendix on 5-digit addition, and the authors' published curves",
        claim=(
            "With fresh sums in every update each digit of the answer is learned at once, one after the other; with "
            "a few hundred sums the network learns them by heart, and the same drop comes later."
        ),
        cost="5 minutes",
        deviations=(
            "The quick size has the narrow network of the authors' second run, with d_model=128, and ten times the "
            "recipe's learning rate; published steps of the mean loss are those of that run. The full size "
            "has d_model=512.",
            "Limited data are 700 sums in full batches at the full size. The quick size has 400, batches of 64 and a "
            "weight decay of 1 in place of 0.1, and ends after 4000 steps, when the test loss is far below its highest "
            "but not yet at its end; with 700 sums it falls with the train loss there.",
            "Steps are read off running means of the published curves, and ours off 500 held-out sums every 20 steps.",
            "The authors test limited data on fresh sums from the generator that drew the train sums, beginning with "
            "some of them. Ours are tested on 500 others.",
        ),
        protocol=_Later("nanda2023_sequences", "five_digit"),
    ),
    Reproduction(
        "nanda2023-fractions",
        citation="Nanda et al. 2023, appendix on the amount of data, and the authors' published runs",
        claim="The more data, the earlier the network generalises; at 80% there is no delay left.",
        cost="10 minutes",
        deviations=("One seed for each fraction at the quick size, three at full size.",),
        protocol=_Later("nanda2023", "fractions"),
    ),
    Reproduction(
        "nanda2023-induction",
        citation="Nanda et al. 2023, appendix on induction heads, and the authors' published curves",
        claim=(
            "A two-layer attention-only network learns slowly which tokens there are, and then at once to continue "
            "what it has seen before."
        ),
        cost="8 minutes",
        deviations=(
            "The authors' blocks double the residual stream, x -> 2x + attention(x); ours add to it, and the weight "
            "decay is 0.3 in place of 1, so that the weights can make up for it.",
            "The quick size ends after 1500 of 6000 steps, and leaves limited data out: on 512 sequences the published "
            "test loss falls after 190,000 steps, which the full size trains for.",
        ),
        protocol=_Later("nanda2023_sequences", "induction"),
    ),
    Reproduction(
        "nanda2023-mainline",
        citation="Nanda et al. 2023, section 5 and the authors' published runs",
        claim=(
            "Addition mod 113 on 30% of the pairs is memorised early, grokked late, and then done by a few frequencies."
        ),
        cost="15 minutes",
        deviations=(
            "Runs end at a test loss of 3e-6, as those of the authors' sweep over fractions did.",
            "The steps are compared with the authors' sweep run at 30%, whose curve they published.",
        ),
        protocol=_Later("nanda2023", "mainline"),
    ),
    Reproduction(
        "nanda2023-skip-trigram",
        citation="Nanda et al. 2023, appendix on skip trigrams, and the authors' published curves",
        claim=(
            "With fresh sequences in every update the loss stays at guessing and falls at once; with limited data the "
            "test loss falls later than the train loss."
        ),
        cost="2 minutes",
        deviations=(
            "The authors' blocks double the residual stream, x -> 2x + attention(x); ours add to it.",
            "Limited data are 40 sequences. How many the authors' curve has is not known; with the 100 of their "
            "notebook our network generalises as soon as it learns.",
            "The authors test limited data on fresh sequences from the generator that drew the train sequences, "
            "beginning with some of them. Ours are tested on 2000 others.",
        ),
        protocol=_Later("nanda2023_sequences", "skip_trigram"),
    ),
    Reproduction(
        "nguyen2026-discrete-log",
        citation="Nguyen 2026, abstract; further numbers as replications report them",
        claim=(
            "A network that multiplies mod 113 is dense in the basis of addition and sparse in that of the "
            "multiplicative characters: a clock on discrete logarithms."
        ),
        cost="5 minutes",
        deviations=(
            "The quick size trains with ten times the learning rate for 2000 steps, one seed; the full size with "
            "the paper's recipe.",
            "A neuron is tuned if one frequency explains more than half of its variance; the source's rule is not "
            "known. With the threshold of 0.85 that Nanda et al. have, the share is a row of its own, without "
            "bounds.",
            "All pairs, those with a 0 among them, are trained besides the units; analyses leave the 0 out.",
        ),
        protocol=_Later("nguyen2026", "discrete_log"),
    ),
    Reproduction(
        "olsson2022-phase-change",
        citation="Olsson et al. 2022, arguments 1 and 2: phase change and architectures",
        claim=(
            "Attention-only networks of two layers form induction heads abruptly, and learn from the context at that "
            "moment; those of one layer do neither."
        ),
        cost="6 minutes",
        deviations=(
            "Random tokens, of which some come again, take the place of text; networks have 32 dimensions and 64 "
            "tokens. So there is nothing else to learn, and the steps are hundreds instead of billions of tokens.",
            "The in-context score compares the second half of a sequence with the first, all positions, in place of "
            "its 500th and its 50th token.",
            "The window is found by the rule of `find_phase_changes`; the paper chose it from the derivative.",
            "The score of a head is that on sequences of the task, in which a token may also come again by accident.",
        ),
        protocol=_Later("olsson2022", "phase_change"),
    ),
    Reproduction(
        "omnigrok2022-constrained-norm",
        citation="Liu et al. 2022, Omnigrok (arXiv 2210.01117), section on algorithmic data",
        claim=(
            "Modular addition groks in a free training; with the norm of the weights held at 0.8 of the initial one, "
            "the test inputs follow the train inputs without delay."
        ),
        cost="4 minutes",
        deviations=(
            "The quick size has ten times the paper's learning rate of 1e-3, and three seeds. A training ends at a "
            "test loss of 0.1.",
            "The paper gives curves, not numbers. Inputs count as known from an accuracy of 90%, without delay is a "
            "test accuracy there within twice the steps of the train accuracy, and at most a fifth of the delay of the "
            "free training may be left.",
            "The factor 0.8 belongs to p = 113. At p = 53, on 40% of the pairs, it left 15%, 22% and 53% of the delay "
            "of three seeds.",
            "The constrained training has no weight decay. The control is held at 1.5 times the initial norm, where "
            "networks memorise.",
            "The steps of the constrained training are those of Adam, after which all weights are scaled back, as in "
            "the authors' code.",
        ),
        protocol=_Later("omnigrok2022_constrained", "constrained_norm"),
    ),
    Reproduction(
        "omnigrok2022-init-scale",
        citation="Liu et al. 2022, Omnigrok (arXiv 2210.01117), sections on images and on the time to generalise",
        claim=(
            "A large initialisation makes an ordinary classifier of images grok: the delay grows with its factor, the "
            "time to generalise falls as one over the weight decay, and with cross-entropy a larger factor is needed "
            "than with the squared error."
        ),
        cost="4 minutes",
        deviations=(
            "Needs scikit-learn, `pip install 'mechgrok[digits]'`: the images are its 1797 digits of 8 by 8 pixels, of "
            "which 200 are trained on, at the full size too. The paper has 1000 images of MNIST.",
            "Full batches, in the paper of 200. The quick size has one seed and 6000 steps.",
            "Inputs count as known from an accuracy of 80%.",
            "The paper has a factor of 9 for the squared error and of about 100 for cross-entropy; here 30 is enough. "
            "With cross-entropy 62% of the test inputs are known before the delay, with the squared error hardly more "
            "than by chance.",
            "That the time to fit the train inputs does not depend on the decay holds within a factor of 1.6 here.",
        ),
        protocol=_Later("omnigrok2022_digits", "initial_scale"),
    ),
    Reproduction(
        "omnigrok2022-lu",
        citation="Liu et al. 2022, Omnigrok (arXiv 2210.01117), the LU mechanism, and the authors' notebook",
        claim=(
            "At a fixed norm of the weights the train loss that can be reached falls with the norm and stays low, an "
            "L, while the test loss is small at one norm alone, a U: between them lies what grokking waits for."
        ),
        cost="6 minutes",
        deviations=(
            "Published numbers are those printed in the authors' notebook for one teacher and one student.",
            "The quick size has one seed and 5,000 of the 10,000 steps for the student; addition mod 53 on 40% of the "
            "pairs at ten times the learning rate, in place of addition mod 113, of which there are curves alone.",
            "Adam followed by scaling the weights back, as in the authors' code, does not come to rest at the smallest "
            "loss of a sphere unless the gradient vanishes there: Adam scales each coordinate, which turns a gradient "
            "along the weights into a step to the side. At small norms their train loss rises again in training. Here "
            "gradients lose their part along the weights first, and losses are read where the train loss is smallest.",
        ),
        protocol=_Later("omnigrok2022", "landscape"),
    ),
    Reproduction(
        "pair2023-five-neurons",
        citation='Pearce et al. 2023, "Modular Addition With Five Neurons", Appendix A, and their notebook',
        claim=(
            "Five neurons on one circle add mod 67: output weights turn twice as fast as input weights. Trained on a "
            "circle that is given, they spread evenly and do the same."
        ),
        cost="4 minutes",
        deviations=(
            "Accuracies by the number of neurons follow from the construction; the article lets its readers choose the "
            "number, and states those of five neurons, and for squares that five or more are exact.",
            "The article shows one trained network, of seed 86 of its generator. Ours have seeds of ours, of which one "
            "in a few ends in a local minimum.",
            *PAIR,
        ),
        protocol=_Later("pair2023", "five_neurons"),
    ),
    Reproduction(
        "pair2023-mod67",
        citation='Pearce et al. 2023, "It\'s Full of Stars", and the output of the notebook for modular addition',
        claim=(
            "An MLP with 24 neurons for addition mod 67 memorises, and groks much later; its neurons then fall into a "
            "few frequencies, each with the star of the constructed solution."
        ),
        cost="2 minutes",
        deviations=(
            "Published numbers are those that their notebook printed, with seed 165 of their generator; the test loss "
            "is 67 times the printed one, which is divided by the classes.",
            "The quick size has ten times the learning rate, for 6000 steps. At the paper's, seed 0 of ours follows "
            "the published curve for 15,000 steps and then falls behind: after 50,000 steps its test loss has come "
            "down from 90 nats to 43, and it has not grokked.",
            *PAIR,
        ),
        protocol=_Later("pair2023", "mod67"),
    ),
    Reproduction(
        "pair2023-parity",
        citation='Pearce et al. 2023, "Generalizing With 1s and 0s", "When Does Grokking Happen?", and its table',
        claim=(
            "The weights of the 27 distracting bits go to zero as the test accuracy jumps. With more and more weight "
            "decay networks memorise, grok, learn both at once, and learn nothing."
        ),
        cost="8 minutes",
        deviations=(
            "The notebook of this task was not published. Where there is a bias and how networks start is our choice: "
            "biases, two logits, and the initial weights of their other networks.",
            "The article draws the weights of a network with L1 decay; ours has the decay of the sweep, with which the "
            "weights that nothing needs fade, and are never exactly 0.",
            "The quick size sweeps over two widths and two train sets with one seed for 10,000 steps, the full size "
            "over the published 125 settings with nine seeds for 20,000. Trainings end at a test loss of 3e-6.",
            "All networks share one sample of inputs, of which the seed takes the train set.",
            "At a weight decay of 1 the published networks with 64 neurons learn nothing; ours, with two logits in "
            "place of one, still memorise, and those with 32 learn nothing.",
            "Published shares are those of the published table at the same settings.",
        ),
        protocol=_Later("pair2023_parity", "regimes"),
    ),
    Reproduction(
        "pair2023-unfactored",
        citation='Pearce et al. 2023, "Which Model Constraints Work Best?"',
        claim=(
            "Trained directly, the matrices W_input and W_output do not generalise, even with weight decay; at least "
            "one of them has to be factored."
        ),
        cost="5 minutes",
        deviations=(
            "The quick size has ten times the learning rate, for 6000 steps. With the paper's, the network without "
            "factors comes to 12%, 2% and 2% of the test inputs in 20,000 steps, at weight decays of 1, 0.1 and 0.01.",
            "At a weight decay of 1 and the quick size's learning rate it has a third of the test inputs right, and "
            "not all of the train inputs, and stays there.",
            "Where W_output alone is a product, the width between its factors is that of the neurons.",
            *PAIR,
        ),
        protocol=_Later("pair2023", "unfactored"),
    ),
    Reproduction(
        "power2022-data-fraction",
        citation="Power et al. 2022, figure of the time to generalise over the fraction of data",
        claim=(
            "The less data, the later a network generalises on S5, by a factor for each hundredth that is taken away."
        ),
        cost="13 minutes",
        deviations=(
            *POWER,
            "The paper's 1.4 to 1.5 times as many steps for each hundredth of data less are measured at 25% to 30%. "
            "Here the fractions are larger, and of the factor it is only asked that it exceeds 1.",
        ),
        protocol=_Later("power2022", "data_fraction"),
    ),
    Reproduction(
        "power2022-operations",
        citation="Power et al. 2022, section on the binary operations and the figure over fractions",
        claim=(
            "Networks generalise on most of twelve binary operations, on less data where the order of the operands "
            "does not matter, and only memorise x^3+xy^2+y."
        ),
        cost="16 minutes",
        deviations=(
            *POWER,
            "The paper gives curves over the fraction of the data; each operation has one fraction here, and no "
            "bounds where its threshold may be near.",
            "Of the paper's symmetric operations one is compared with its counterpart, x+y with x-y.",
        ),
        protocol=_Later("power2022", "twelve_operations"),
    ),
    Reproduction(
        "prieto2025",
        citation="Prieto et al. 2025, sections 3 to 5",
        claim=(
            "Without weight decay, float32 cross-entropy stops by softmax collapse before it generalises; a stable "
            "softmax, or gradients orthogonal to the weights, grok."
        ),
        cost="10 minutes",
        deviations=(
            "The source gives curves, not numbers: bounds follow from what the curves show.",
            "OrthoGrad is given the 300 steps of the authors' command.",
            "At the quick size StableMax learns from 70% of the pairs, one of the authors' fractions, where 8,000 "
            "steps are enough. On 40% their command takes 80,000 to 100,000; we saw 1% test accuracy after 20,000.",
        ),
        protocol=_Later("prieto2025", "stability"),
    ),
    Reproduction(
        "scienceetonnante2023",
        citation="scienceetonnante 2023, notebook of the repository scienceetonnante/grokking",
        claim=(
            "An embedding and a feed-forward layer are enough to grok: addition mod 53 is memorised by epoch 240 and "
            "generalised by epoch 1100, and the principal components of the embedding turn into circles."
        ),
        cost="8 minutes",
        deviations=(
            "The quick size has 2000 of the 20,000 epochs; the published losses are 0 to the last digit there.",
            "The published numbers are those of one seed, ours medians over three, or five at the full size.",
            "The train inputs are drawn by another generator than numpy's.",
            "Circles are published as pictures; a pair of components counts as a clean circle where both have at "
            "least 90% of their power in one frequency.",
        ),
        protocol=_Later("scienceetonnante2023", "circles"),
    ),
    Reproduction(
        "stander2023-interventions",
        citation="Stander et al. 2023, sections 6.1 to 6.3 and the table of causal interventions",
        claim=(
            "A network that composes permutations of five reads in which cosets its operands lie, and uses where what "
            "it reads of both cancels: with both signs flipped it is right, with one of them wrong, and |x| in place "
            "of ReLU lowers its loss."
        ),
        cost="6 minutes",
        deviations=(
            "The quick size has ten times the learning rate and 60% of the pairs for 2,000 steps in place of 40% for "
            "250,000, and two seeds. Published numbers are means over 128 networks of several sizes; their losses, "
            "of which the longer training decides, have no bounds.",
            "That the loss falls with |x|, which the paper calls a very strange property, follows from arithmetic: "
            "relu(x) = (|x| + x)/2, so that |x| doubles all of the logits but the part that is odd in x, and that is "
            "near 0 here. Doubled logits have the same loss.",
            "Coset concentration is the mean variance within cosets over the variance, at most 1. The paper takes the "
            "sum over the cosets in place of the mean, and counts what is below 1 as concentrated: 99.2% of the "
            "neurons. After the quick size's short training a quarter of ours have not come to rest.",
            "Neurons that are removed are set to their mean, in the paper to 0.",
        ),
        protocol=_Later("stander2023", "interventions"),
    ),
    Reproduction(
        "swaroop2026-training-free",
        citation="Swaroop 2026, sections 3 and 4 and both tables",
        claim=(
            "ReLUs that read square waves of random phases, and write cosines at the sum of the phases, add mod 97 "
            "without having been trained; and the dominant waves of a network add before the network does."
        ),
        cost="6 minutes",
        deviations=(
            "Means over 10 draws of the phases in place of 40; bounds are the published mean and standard deviation of "
            "one draw, which is 3 times that of our mean.",
            "Logits of square waves are whole numbers, and many are equal: equal classes share an answer here.",
            "The split is drawn at random, in the paper stratified by the answer; how weights start is not said there. "
            "Trainings end at a test loss of 0.06. Label noise is left out.",
            "Not reproduced: at 99% of the train inputs the paper's waves have 69% to 81% of the test inputs. Ours "
            "come there after 300 steps, and their waves have 5%. They lead all the same: 40% after 2,000 steps, where "
            "the network has none, and 68% after 5,000, where it has 2%.",
        ),
        protocol=_Later("swaroop2026", "training_free"),
    ),
    Reproduction(
        "varma2023-efficiency",
        citation="Varma et al. 2023, section on the relation of efficiency and data, and its figure",
        claim=(
            "The norm that memorising needs for a logit scale rises with the data, that of generalising does not; "
            "they cross at a size that does not depend on the weight decay."
        ),
        cost="5 minutes",
        deviations=(
            "The quick size has p = 59 and half of the width. At both sizes networks learn with the recipe `fast`, and "
            "come to rest with a larger eps of AdamW, 5e-5: the smaller it is, the larger the logits at rest, and with "
            "1e-8 random labels end in slingshots.",
            "One network of each seed generalises, on the smallest of the large sizes, and comes to rest on each of "
            "them, where a training of its own for each size would be stricter.",
            "Norms are compared at one logit scale: that of equal wrong logits with the network's train loss.",
            "Seeds count whose generalising networks have 95% of the squares of their logits in cosines, which is the "
            "paper's criterion, at all sizes and decays: two of four at the quick size. A third, with 90%, crosses at "
            "415 inputs, outside the range of the two.",
            "That the crossing tells where a network ungroks is asked within a factor of two. At the crossing itself "
            "our networks still answer most of the test inputs, and the paper calls one critical size oversimplified.",
        ),
        protocol=_Later("varma2023_efficiency", "efficiency"),
    ),
    Reproduction(
        "varma2023-toy",
        citation="Varma et al. 2023, section on the three ingredients of grokking and its simulation",
        claim=(
            "Two circuits with one loss grok if the generalising one is more efficient and is learned more slowly, and "
            "change places at a critical size, whatever the weight decay."
        ),
        cost="1 minute",
        deviations=(
            "The equations are our own, because the paper's were not accessible to us: two weights for each circuit, "
            "and an efficiency of memorising in inverse proportion to the data. Both sizes are the same.",
        ),
        protocol=_Later("varma2023_toy", "two_circuits"),
    ),
    Reproduction(
        "varma2023-ungrokking",
        citation="Varma et al. 2023, section on ungrokking and figure of the test accuracy over the size of the data",
        claim=(
            "A network that has grokked forgets how to generalise when it goes on with few of its train inputs: below "
            "a critical size, which does not depend on the weight decay."
        ),
        cost="5 minutes",
        deviations=(
            "Trainings start from the shipped `add113`, which has grokked on 30% of the pairs, in the paper from "
            "networks trained on all of them. On inputs that were taken away and on those that were never seen it "
            "then fails alike.",
            "The quick size has four of the seven sizes, one seed of ten, and ten times the learning rate for 15 time "
            "constants of the weight decay in place of 100.",
            "Against the paper: it has a test accuracy of 0.7 at 800 to 1000 inputs, ours 0.7 at 610, 1.0 at 955. "
            "Our trainings are not at rest, though: at 610 inputs accuracy still fell by 0.02 in their last tenth.",
        ),
        protocol=_Later("varma2023_ungrokking", "ungrokking"),
    ),
    Reproduction(
        "zhong2023-attention-rate",
        citation="Zhong et al. 2023, section 4.2 and the authors' published table of results",
        claim="The share of pizzas falls from attention rate 0 to 1, with the change between 0.5 and 1 at width 128.",
        cost="10 minutes",
        deviations=(
            "The quick size takes 1600 steps at a learning rate of 5e-3, the full size the published 20,000 at "
            "1e-3.",
            "The quick size has three seeds at five rates, the full size ten seeds; the authors drew rates at "
            "random for thousands of networks.",
            "The published means are over networks with circular embeddings alone, ours over all.",
            "The paper draws its lines where one measure crosses a bound; the shares are those of our rule, applied "
            "to the published scores alone.",
        ),
        protocol=_Later("zhong2023", "attention_rate"),
    ),
    Reproduction(
        "zhong2023-clock-pizza",
        citation="Zhong et al. 2023, sections 3 to 5, and the networks that the authors published",
        claim=(
            "Without attention the network adds by the pizza algorithm, with attention on the clock; of the linear "
            "models, beta is a pizza and delta is none."
        ),
        cost="10 minutes",
        deviations=(
            "The quick size ends after 6000 of the 20,000 steps.",
            "Each published number is that of one network; ours are of one new seed, or of five at the full size.",
            "Gradient symmetricity is taken over 5000 triples in place of the published 100.",
            "Bounds are those by which the verdict counts a measure as a clock's or a pizza's. Those of distance "
            "irrelevance overlap, because several pizzas together hide the distance: the paper's own line is at "
            "0.6.",
            "Circle fading is ours; the authors published none.",
            "What the scores say is the published distinction, and is disputed. The verdict of `classify_algorithm` "
            "asks in addition what is left without products, and does not call delta, which has none, a clock.",
        ),
        protocol=_Later("zhong2023", "clock_and_pizza"),
    ),
)

for _found in CATALOGUE:
    REPRODUCTIONS.register(_found.name, _found)
