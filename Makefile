# nacre: `make demo` shows it, `make test` tests it. Both set up .venv by themselves.
PYTHON ?= python3
V := .venv
BIN := $(V)/bin
CXX ?= c++

.PHONY: demo test check fast format docs sanitize clean
.DEFAULT_GOAL := demo

demo: $(V)/.ready
	@$(BIN)/nacre demo

test: $(V)/.dev check
	@$(BIN)/pytest -q -n 2

check: $(V)/.dev
	@$(BIN)/ruff check -q
	@$(BIN)/ruff format --check -q
	@$(BIN)/clang-format --dry-run --Werror $$(find cpp -name '*.h' -o -name '*.cpp')
	@$(BIN)/codespell src cpp docs benchmarks *.md
	@$(BIN)/lint-imports --no-cache > $(V)/walls.txt || { cat $(V)/walls.txt; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@echo "check: format, lint, spelling, walls and types are in order"

format: $(V)/.dev
	@$(BIN)/ruff format -q
	@$(BIN)/ruff check -q --fix
	@$(BIN)/clang-format -i $$(find cpp -name '*.h' -o -name '*.cpp')

# The site: every block of code in docs/ runs, and a warning is an error.
docs: $(V)/.dev
	@$(BIN)/python -m sphinx -q -W --keep-going -j auto docs build/docs
	@echo "docs: build/docs/index.html"

# The core watches itself while it is tested: memory and undefined behavior in one build, races in another, each kept in
# build/sanitize.
CORE := tests/backends tests/parity
TOGETHER := tests/models/test_together.py tests/models/test_fit.py
RACES := random_graph or bits or thread or interrupt or ctrl_c or signal or stop or during_training

sanitize: $(V)/.dev
	@# What XLA computes is not of the core. The address sanitizer keeps freed memory for a while, so that memory seems to grow; and
	@# both need more than is left where the system starts no more threads.
	@.ci/sanitize address $(CORE) tests/contracts/test_primitives.py $(TOGETHER) -k "not memory_does_not_grow and not no_more_threads and not xla and not spread"
	@# Threads may not start in a child of a process that has some, says the thread sanitizer of itself.
	@.ci/sanitize thread $(CORE) $(TOGETHER) -k "($(RACES)) and not fork and not instruction_set and not no_more_threads and not xla and not spread"
	@echo "sanitize: no error of memory, no undefined behavior, no race"

clean:
	rm -rf $(V) build dist

# ---- the environment: made once, renewed when what it was made from changes

# The package is installed in place; only a change of this list of files, of the C++ or of the settings needs a new install.
FILES := $(shell find src -name '*.py' -o -name '*.typed' | LC_ALL=C sort)
KNOWN := $(shell cat $(V)/.files 2>/dev/null)
SOURCES := pyproject.toml CMakeLists.txt constraints.txt $(shell find cpp -type f)

$(V)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "nacre needs Python 3.10 or newer: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(V) || { rm -rf $(V); echo "Python has no venv: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade "pip>=25.1"
	@touch $@

ifneq ($(FILES),$(KNOWN))
.PHONY: $(V)/.ready
endif
$(V)/.ready: $(V)/.python $(SOURCES)
	@command -v $(firstword $(CXX)) >/dev/null || { echo "nacre is compiled, and there is no C++ compiler: install one (Debian and Ubuntu: apt install g++)"; exit 1; }
	@echo "installing nacre into $(V) (compiles the C++ core)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt "scikit-build-core>=1.1,<2" "nanobind>=3.1,<4" cmake ninja
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -c constraints.txt -e .
	@$(BIN)/python -m compileall -q src
	@echo $(FILES) > $(V)/.files
	@touch $@

$(V)/.dev: $(V)/.ready constraints.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group dev
	@touch $@
