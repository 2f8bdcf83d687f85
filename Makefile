# Every target sets itself up: a virtual environment in .venv, made anew when the dependencies change.
PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
READY_TL3 = .venv-tl3/.ready
PARALLEL = -n auto --maxprocesses 4 --dist loadfile
# Tests start many processes, which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
CHECKED = --jaxtyping-packages=mechgrok,beartype.beartype

.PHONY: demo test paths slow lint interop bench docs clean

demo: $(READY)
	$(BIN)/mechgrok demo

test: $(READY)
	$(BIN)/python -m pytest $(CHECKED) -m "not slow" $(PARALLEL)

# What is promised about rounding, on the code paths of other processors.
paths: $(READY)
	tests/code_paths/run.sh $(BIN)/python -m "bits and not slow" -q $(CHECKED) $(PARALLEL)

slow: $(READY)
	$(BIN)/python -m pytest $(CHECKED) -m slow --timeout 0

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# The same tests of interoperability under the last TransformerLens that has a HookedTransformer.
interop: $(READY_TL3)
	.venv-tl3/bin/python -m pytest tests/interop

# Alone on the machine: times mean nothing beside other work.
bench: $(READY)
	mkdir -p bench
	$(BIN)/python tests/benchmarks/bench_step.py --at-least 6 --json bench/step.json
	$(BIN)/python tests/benchmarks/bench_step_mlp.py --json bench/step_mlp.json
	$(BIN)/python tests/benchmarks/bench_subnormals.py --json bench/subnormals.json
	$(BIN)/python tests/benchmarks/bench_busy.py --json bench/busy.json
	$(BIN)/python tests/benchmarks/bench_cost.py --json bench/cost.json
	$(BIN)/python tests/benchmarks/bench_progress.py --json bench/progress.json
	$(BIN)/python tests/benchmarks/bench_grok.py --json bench/grok.json
	$(BIN)/python tests/benchmarks/bench_recipe.py --json bench/recipe.json

docs: $(VENV)/.docs
	$(BIN)/python docs/reproductions.py
	$(BIN)/python docs/measures.py
	$(BIN)/python docs/house.py
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build
	@echo "Open docs/_build/index.html"

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e . --group dev
	touch $@

$(READY_TL3): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-tl3
	.venv-tl3/bin/python -m pip install --quiet --upgrade pip
	.venv-tl3/bin/python -m pip install --quiet -c constraints.txt "transformer-lens==3.9.*" -e . --group dev
	touch $@

clean:
	rm -rf $(VENV) .venv-tl3 .pytest_cache .ruff_cache .hypothesis .import_linter_cache docs/_build demo bench
