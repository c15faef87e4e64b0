# make demo    trains a model on real data, logs it with tbc, reads it back
# make test    runs all tests
# make torture tries to make tbc lose events, and prints how many tries it made; about an hour
# make differential makes BUDGET=100000 random calls, from SEED=0 on, on torch's writer and on tbc's; an hour
# make wheels  builds the sdist and a wheel for each installed Python, and tests them; about ten minutes a Python
# make cross   compiles the C core for other processors and systems, and runs its tests in an emulator
# make docs    builds the documentation, in build/docs
# make bench   measures the cost of tbc, torch and tensorboardX; about ten minutes on an idle machine
# make frameworks  trains in Lightning, Transformers, Ray, ... with their writers and with tbc; 15 minutes
# Each makes a virtual environment of its own in .venv/.

PYTHON ?= python3
TORCH ?= torch==2.13.0 # tests and benchmarks compare with it; `make test TORCH=` skips those tests
CC ?= cc

SOURCES := pyproject.toml setup.py $(wildcard csrc/*.[ch] proto/*.* reader/*.py reader/*/*.py) \
    $(wildcard tbc/*.py tbc/*/*.py tbc/*.pth tbc/*.pyx tbc/*.pxd tbc/*.pyi)
CSRC_TEST := -std=c11 -g -O1 -Wall -Wextra -Wpedantic -Werror -DTBC_TEST -Icsrc tests/csrc_test.c csrc/*.c -lm -lpthread
CSRC_CHANGING := $(subst csrc_test,csrc_changing,$(CSRC_TEST)) -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all

.PHONY: demo test torture differential sanitize wheels cross bench frameworks docs lint csrc-test proto screenshots gallery clean

demo: .venv/demo/installed
	.venv/demo/bin/python examples/digits.py

test: .venv/test/installed
	.venv/test/bin/pytest -q

torture: .venv/torture/installed
	cd tests && ../.venv/torture/bin/python -m torture.run

# One row of `make torture`'s table, with a budget of your choice.
BUDGET ?= 100000
SEED ?= 0
differential: .venv/torture/installed
	cd tests && ../.venv/torture/bin/python -W ignore -m torture.differential --budget $(BUDGET) --seed $(SEED)

# The row of `make torture` that builds the extension with ASan and UBSan, and runs all tests on it.
sanitize: .venv/torture/installed
	cd tests && ../.venv/torture/bin/python -m torture.run sanitize

# The files are in dist/ then. PYTHONS="python3.12 ..." names the Pythons to use.
wheels: .venv/release/installed
	.venv/release/bin/python tests/release/wheels.py --dist dist $(PYTHONS)

cross: .venv/release/installed
	.venv/release/bin/python tests/release/cross.py

bench: .venv/bench/installed
	.venv/bench/bin/python benchmarks/run.py

# The pages of docs/ and of the docstrings. A warning fails the build.
docs: .venv/docs/installed
	.venv/docs/bin/sphinx-build -q -E -W --keep-going docs build/docs
	@echo build/docs/index.html

# Also logs with tbc while wandb and MLflow upload, and runs the code of docs/switch.md.
frameworks: .venv/frameworks/installed .venv/frameworks-jax/installed
	cd tests && ../.venv/frameworks/bin/python frameworks/run.py --jax ../.venv/frameworks-jax/bin/python
	cd tests && ../.venv/frameworks/bin/python frameworks/trackers.py
	rm -rf .venv/frameworks/pages && mkdir .venv/frameworks/pages
	cd .venv/frameworks/pages && (../bin/python ../../../tests/helpers/pages.py docs/switch.md > output 2>&1 || (cat output; false))

lint: .venv/test/installed
	.venv/test/bin/ruff check .
	.venv/test/bin/ruff format --check .
	cd .venv/test && bin/mypy --config-file ../../pyproject.toml -p tbc
	cd .venv/test && bin/stubtest tbc._core tbc._scan --ignore-missing-stub --ignore-disjoint-bases --mypy-config-file ../../pyproject.toml
	cd .venv/test && PATH="$$PWD/bin:$$PATH" pyright --verifytypes tbc --ignoreexternal
	cd tests/user_project && ../../.venv/test/bin/mypy .
	cd tests/user_project && ../../.venv/test/bin/pyright --pythonpath ../../.venv/test/bin/python

# The C core without Python: first with ASan and UBSan, then the same without SSE2, then with TSan. Last, the kernels on
# memory that another thread changes (races by design): as setup.py compiles them, and without SSE2.
csrc-test:
	@mkdir -p .venv
	$(CC) -fsanitize=address,undefined -fno-sanitize-recover=all $(CSRC_TEST) -o .venv/csrc_test_asan
	.venv/csrc_test_asan
	$(CC) -U__SSE2__ -fsanitize=address,undefined -fno-sanitize-recover=all $(CSRC_TEST) -o .venv/csrc_test_portable
	.venv/csrc_test_portable
	$(CC) -fsanitize=thread $(CSRC_TEST) -o .venv/csrc_test_tsan
	.venv/csrc_test_tsan
	$(CC) $(CSRC_CHANGING) -O3 -o .venv/csrc_changing
	.venv/csrc_changing
	$(CC) -U__SSE2__ $(CSRC_CHANGING) -o .venv/csrc_changing_portable
	.venv/csrc_changing_portable

# A picture of each TensorBoard tab with the demo's run, in .venv/screenshots. Needs Chromium.
screenshots: .venv/test/installed
	rm -rf .venv/screenshots .venv/screenshots-runs
	.venv/test/bin/python examples/digits.py .venv/screenshots-runs/digits
	.venv/test/bin/python examples/screenshots.py .venv/screenshots-runs .venv/screenshots

# The pictures of docs/gallery: the demo's runs, and what docs/guide.md logs. Needs Chromium.
gallery: .venv/test/installed
	.venv/test/bin/python docs/gallery.py

# Compiles proto/tbc.proto; run it after a change.
proto: .venv/test/installed
	.venv/test/bin/python -m grpc_tools.protoc -Iproto --include_imports --descriptor_set_out=proto/tbc.binpb proto/tbc.proto

clean:
	rm -rf .venv build dist *.egg-info tbc/_*.c tbc/*.so

# The packages that pip installs in each environment.
demo_NEEDS = -e '.[demo]'
test_NEEDS = '.[demo,lint,test]' $(TORCH)
torture_NEEDS = '.[demo,test,torture]' $(TORCH)
release_NEEDS = '.[release]'
docs_NEEDS = '.[docs]'
bench_NEEDS = '.[bench]' $(TORCH)
frameworks_NEEDS = '.[frameworks]' $(TORCH)
frameworks-jax_NEEDS = '.[frameworks-jax]'

.venv/%/installed: $(SOURCES)
	$(PYTHON) -m venv .venv/$*
	.venv/$*/bin/pip install --quiet --disable-pip-version-check $($*_NEEDS)
	touch $@
