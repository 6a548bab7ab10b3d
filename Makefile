# make demo   a private dataset condensed, evaluated and verified, from nothing but Python 3.11+ and make
# make test   lint, types, import contracts and the whole test suite
# make bench  the speed ratios of experiments/benchmarks

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO ?= runs/demo
JOBS ?= 2

.PHONY: demo test lint bench clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: $(VENV)/installed
	rm -rf $(DEMO)
	$(BIN)/dpcond plan --data digits --config experiments/demo/digits.toml
	$(BIN)/dpcond condense --data digits --config experiments/demo/digits.toml --out $(DEMO)
	$(BIN)/dpcond evaluate $(DEMO)/release --data digits --seeds 3 --json $(DEMO)/metrics.json
	$(BIN)/dpcond verify $(DEMO)/release
	@echo
	@echo "Look at   $(DEMO)/release/preview.png   the synthetic digits"
	@echo "Read      $(DEMO)/release/card.md       what is promised, and what is not"
	@echo "Compare   $(DEMO)/metrics.json          accuracies beside their baselines"

test: $(VENV)/installed lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(JOBS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed
	$(BIN)/python -m experiments.benchmarks

clean:
	rm -rf $(VENV) runs
