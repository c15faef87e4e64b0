# make demo    trains a model on real data, logs it with tbc, reads it back
# make test    runs all tests
# make torture tries to make tbc lose something, and prints how often; an hour or so
# make differential makes random calls on torch's writer and on tbc's: BUDGET=100000 of them, from SEED=0 on; an hour
# make wheels  builds the sdist and a wheel for each Python that is here, and tests them; some ten minutes a Python
# make cross   compiles the C core for other processors and systems, and runs its tests in an emulator
# make docs    builds the documentation, in build/docs
# make bench   measures what tbc costs beside torch and tensorboardX; some ten minutes on an idle machine
# make frameworks  trains in Lightning, Transformers, Ray, ... with their writers and with tbc; a quarter of an hour
# Each sets up a virtual environment of its own below .venv/.

PYTHON ?= python3
TORCH ?= torch==2.13.0 # what tests and benchmarks compare with; `make test TORCH=` leaves those tests out
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

# A row of it, for as long as one likes.
BUDGET ?= 100000
SEED ?= 0
differential: .venv/torture/installed
	cd tests && ../.venv/torture/bin/python -W ignore -m torture.differential --budget $(BUDGET) --seed $(SEED)

# The part of it that builds the extension with ASan and UBSan, and runs all tests against that.
sanitize: .venv/torture/installed
	cd tests && ../.venv/torture/bin/python -m torture.run sanitize

# PYTHONS="python3.12 ..." for some; what is made lies in dist/ then.
wheels: .venv/release/installed
	.venv/release/bin/python tests/release/wheels.py --dist dist $(PYTHONS)

cross: .venv/release/installed
	.venv/release/bin/python tests/release/cross.py

bench: .venv/bench/installed
	.venv/bench/bin/python benchmarks/run.py

# What docs/ and the docstrings say, as pages. A warning is a failure.
docs: .venv/docs/installed
	.venv/docs/bin/sphinx-build -q -E -W --keep-going docs build/docs
	@echo build/docs/index.html

# And wandb and MLflow listen to tbc, and what docs/switch.md says of all of them is run.
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

# The C core without Python: memory and undefined behaviour, the same without SSE2, then data races. Then the kernels
# on memory that another thread changes, which are races by design: as setup.py compiles them, and without SSE2.
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

# What people see: the demo's run in TensorBoard, each tab as a picture in .venv/screenshots. Needs Chromium.
screenshots: .venv/test/installed
	rm -rf .venv/screenshots .venv/screenshots-runs
	.venv/test/bin/python examples/digits.py .venv/screenshots-runs/digits
	.venv/test/bin/python examples/screenshots.py .venv/screenshots-runs .venv/screenshots

# The pictures of docs/gallery, of the demo's runs and of what docs/guide.md logs. Needs Chromium.
gallery: .venv/test/installed
	.venv/test/bin/python docs/gallery.py

# After a change of proto/tbc.proto.
proto: .venv/test/installed
	.venv/test/bin/python -m grpc_tools.protoc -Iproto --include_imports --descriptor_set_out=proto/tbc.binpb proto/tbc.proto

clean:
	rm -rf .venv build dist *.egg-info tbc/_*.c tbc/*.so

# What pip installs in each environment.
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
