# Needs make and Python 3.11 or newer with venv; all else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin

# Compiled kernels are kept from run to run; chapters and tests run on the CPU, where stored outputs come from.
export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/.venv/jax-cache
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0
export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES := -1
# Where one process reads what another has half written it compiles for itself: that is no news for a notebook.
export PYTHONWARNINGS := ignore:Error reading persistent compilation cache entry:UserWarning

# JupyterLab as a reader needs it: a page of text is shown set, not as source, and no question about news.
LAB_SETTINGS := {"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}}, \
  "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
# A notebook that is named alone opens in the browser, but is not in the address that is printed where there is none.
ON_THE_MAP := --ServerApp.root_dir=chapters --LabApp.default_url=/lab/tree/00_map.ipynb

KERNEL_TESTS := $(foreach kernel,densities nodes bounds expectation fit gaussian gmm linear_gaussian vae,tests/test_$(kernel).py)

define find-chromium
command -v chromium > /dev/null || command -v chromium-browser > /dev/null || { \
  echo "Installing chromium"; apt-get install -y -qq --no-install-recommends chromium > /dev/null; } || { \
  echo "This needs chromium (on Debian, as root: apt install chromium)."; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: has-npm help lab test test-long test-all test-lab site plates test-site slides figures assignments handout quiz grade chapters random-use lock coverage sharpness seeds fairness backends mutants mutants-general bench bench-quick reproduce data clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

lab: .venv/ready ## open the chapters in JupyterLab
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '$(LAB_SETTINGS)' > .venv/share/jupyter/lab/settings/overrides.json
	@echo "Opening JupyterLab on the map of the book (stop it with Ctrl-C)"
	@$(BIN)/jupyter lab --log-level WARN $(if $(filter 0,$(shell id -u)),--allow-root) $(ON_THE_MAP)

test: .venv/ready-dev ## run every chapter as a test, and the tests of the module
	@JAX_PLATFORMS=cpu $(BIN)/python -m pytest -m "not long" -n auto --maxprocesses 4 --dist loadfile

test-long: .venv/ready-dev ## the other notebooks, and what takes longer: killed fits, several devices, the grader on a whole corpus
	@JAX_PLATFORMS=cpu VAEJAX_FLOAT32=1 $(BIN)/python -m pytest -m "not long" -n auto --maxprocesses 2 --dist loadfile $(KERNEL_TESTS)
	@JAX_PLATFORMS=cpu $(BIN)/python -m pytest -m long -n auto --maxprocesses 2 --dist loadfile

test-all: test test-long ## both

test-lab: .venv/ready-lab ## run every chapter in JupyterLab in a browser: twice, after a restart, interrupted (long)
	@$(find-chromium)
	@JAX_PLATFORMS=cpu $(BIN)/python -m pytest tests/lab.py

site: has-npm .venv-site/ready ## build the site from the stored notebooks, to be read in a browser without a network
	@.venv-site/bin/python docs/build.py

plates: .venv/ready ## compute anew the data of the pictures on the site that one plays with
	@JAX_PLATFORMS=cpu $(BIN)/python docs/plates/plates.py

test-site: site .venv/ready ## look at every page of it in a browser, and compare its plates with the library
	@$(find-chromium)
	@.venv-site/bin/python -m pytest -q --noconftest -o addopts= -n 2 --dist loadgroup \
	  tests/built_site.py tests/built_plates.py

assignments: .venv/ready-teaching ## write the students' problem sets to classroom/release
	@JAX_PLATFORMS=cpu $(BIN)/python tests/grader/classroom.py release

slides: has-npm .venv/ready ## write a deck of slides for each chapter to classroom/slides
	@$(BIN)/python docs/slides.py

figures: .venv/ready ## write the chapters' pictures with captions and alt texts to classroom/figures
	@$(BIN)/python docs/pictures.py

quiz: .venv/ready ## write the companion's sentences as a quiz for Moodle (GIFT) and for Canvas (QTI)
	@$(BIN)/python docs/quiz.py

handout: .venv/ready-teaching ## write what students get to classroom/handout and classroom/handout.zip
	@JAX_PLATFORMS=cpu $(BIN)/python tests/grader/classroom.py handout

grade: .venv/ready-teaching ## grade SUBMITTED=folder of <student>/<set>/<set>.ipynb (SET= STUDENT= JOBS= ARGS=--strict)
	@test -n "$(SUBMITTED)" || { echo "Say which folder: make grade SUBMITTED=folder"; exit 1; }
	@JAX_PLATFORMS=cpu $(BIN)/python tests/grader/classroom.py grade "$(SUBMITTED)" $(if $(SET),--set $(SET)) \
	  $(if $(STUDENT),--student "$(STUDENT)") $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

chapters: .venv/ready ## run all notebooks again and store their outputs
	@JAX_PLATFORMS=cpu $(BIN)/python tests/execute.py

random-use: .venv/ready-dev ## put the module's parts together at random for MINUTES=60, beside NumPy in float64 (long)
	@$(BIN)/python tests/random_use.py $(or $(MINUTES),60) $(SEED)

lock: ## look up the newest versions of what the requirements bring along, and write constraints.txt
	$(call make-venv,.venv-lock)
	@cat requirements.txt requirements-dev.txt requirements-teaching.txt requirements-lab.txt \
	  | grep -v '^-c' > .venv-lock/requirements.txt
	@$(call pip-install,.venv-lock,-r .venv-lock/requirements.txt)
	@{ grep '^#' constraints.txt; .venv-lock/bin/python -m pip freeze --exclude setuptools; } > .venv-lock/constraints.txt
	@mv .venv-lock/constraints.txt . && rm -rf .venv-lock

coverage: .venv/ready-dev ## which lines and branches of vaejax the unit tests leave out: 2 in 100 at most
	@$(BIN)/python -m coverage erase
	@JAX_PLATFORMS=cpu $(BIN)/python -m coverage run -m pytest tests --ignore tests/assignments
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage report

sharpness: .venv/ready-dev ## how far from its claim a result of the chapters may be and still pass (long)
	@JAX_PLATFORMS=cpu $(BIN)/python tests/sharpness.py

seeds: .venv/ready-dev ## run the chapters with N=20 fresh seeds: every claim must hold, no output may change (long)
	@$(BIN)/python tests/conditions.py seeds --count $(or $(N),20)

fairness: .venv/ready-dev ## put right answers to every test of the problem sets COUNT=200 times: none may be refused (long)
	@JAX_PLATFORMS=cpu $(BIN)/python tests/assignments/fairness.py --count $(or $(COUNT),200)

backends: .venv/ready-dev ## the same on one core, other instructions, 8 devices, float64, other versions (long)
	@$(BIN)/python tests/conditions.py backends

mutants: .venv/ready-dev ## put classic mistakes into copies of vaejax and see which test notices (long)
	@$(BIN)/python tests/mutants/run.py

mutants-general: .venv/ready-dev .venv-mutants/ready ## every small change by cosmic-ray in densities, nodes and bounds (long)
	@$(BIN)/python tests/mutants/general.py

bench: .venv-bench/ready ## measure every kernel beside its peers and write BENCHMARKS.md (long)
	@.venv-bench/bin/python tests/benchmarks/run.py

bench-quick: .venv-bench/ready ## the same on small problems, in a minute or two; prints only
	@.venv-bench/bin/python tests/benchmarks/run.py --quick

reproduce: .venv/ready-dev ## train the VAE and IWAE of Burda et al. on MNIST (hours; ARGS="--epochs 20 10" less)
	@$(BIN)/python tests/benchmarks/burda.py $(ARGS)

data: .venv/ready-dev ## rebuild the data files from published packages
	@$(BIN)/python data/build.py

clean: ## remove what was built and installed here
	rm -rf .venv .venv-* .coverage* build dist site .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -o -name .ipynb_checkpoints -o -name '*.egg-info' | xargs rm -rf

has-npm: # before minutes of pip
	@test -d build/npm || command -v npm > /dev/null || { \
	  echo "This needs npm, once: install Node.js (on Debian, as root: apt install npm) and run make again."; exit 1; }

.venv/ready: requirements.txt constraints.txt pyproject.toml
	@machine=$$($(PYTHON) -c 'import platform; print(platform.machine())' 2> /dev/null || uname -m); \
	test "$$(uname -s) $$machine" != "Darwin x86_64" || { \
	  echo "JAX is no longer built for Macs with Intel processors, nor for a Python made for them:"; \
	  echo "on a newer Mac name one for arm64, make $(MAKECMDGOALS) PYTHON=...; else read the book in Colab, see docs/INSTALL.md."; \
	  exit 1; }
	$(may-install)
	$(call has-room,2000)
	@echo "Setting up vaejax in .venv, once: about 1.5 GB, and two to five minutes"
	@echo "1 of 3: a Python of its own"
	$(call make-venv,.venv)
	@echo "2 of 3: JAX and Flax, which compute (one to three minutes)"
	@start=$$(date +%s); $(call pip-install,.venv,-c constraints.txt $$(grep -E '^(jax|flax)' requirements.txt)); \
	left=$$((($$(date +%s) - start) / 30 + 1)); \
	echo "3 of 3: Jupyter and all else ($$left minute$$(test $$left = 1 || echo s) left, at the pace of step 2)"; \
	$(call pip-install,.venv,-r requirements.txt -e .)
	@echo "Done. To undo it, delete .venv"
	@touch $@

.venv/ready-teaching: .venv/ready requirements-teaching.txt
	@echo "Installing nbgrader"
	@$(call pip-install,.venv,-r requirements.txt -r requirements-teaching.txt)
	@touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt requirements-teaching.txt
	@echo "Installing what the tests need"
	@$(call pip-install,.venv,-r requirements.txt -r requirements-dev.txt -r requirements-teaching.txt)
	@touch $@

.venv/ready-lab: .venv/ready-dev requirements-lab.txt
	@$(call pip-install,.venv,-r requirements.txt -r requirements-dev.txt -r requirements-lab.txt)
	@touch $@

.venv-site/ready: requirements-site.txt
	$(may-install)
	$(call has-room,700)
	@echo "Installing what the site needs in .venv-site, once: about 0.5 GB, and one or two minutes"
	$(call make-venv,.venv-site)
	@$(call pip-install,.venv-site,-r requirements-site.txt)
	@touch $@

.venv-bench/ready: requirements.txt requirements-bench.txt pyproject.toml
	$(may-install)
	$(call has-room,8000)
	@echo "Installing the peers, with PyTorch several GB"
	$(call make-venv,.venv-bench)
	@$(call pip-install,.venv-bench,-r requirements.txt -r requirements-bench.txt -e .)
	@touch $@

.venv-mutants/ready: requirements-mutants.txt
	$(may-install)
	$(call make-venv,.venv-mutants)
	@$(call pip-install,.venv-mutants,-r requirements-mutants.txt)
	@touch $@

define may-install
	@test -w . || { echo "You may not write in $(CURDIR): copy vaejax to a folder of your own, and run make there."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
	  echo "vaejax needs Python 3.11 or newer, but '$(PYTHON)' is $$(command -v $(PYTHON) > /dev/null && $(PYTHON) --version 2>&1 || echo not there)."; \
	  echo "Install a newer one and name it: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
endef

define has-room
	@free=$$(df -Pk . | awk 'NR == 2 { print int($$4 / 1000) }'); test "$${free:-$(1)}" -ge $(1) || { \
	  echo "The disk has $$free MB left, and this needs $(1): free some, or put the folder elsewhere; then run make again."; \
	  exit 1; }
endef

define make-venv
	@$(PYTHON) -m venv $(1) || { \
	  echo "Could not make $(1): this Python lacks venv (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
endef

# what pip says is kept back, and shown where no sentence of ours can stand for it
define pip-install
said=$$($(1)/bin/python -m pip --disable-pip-version-check -qq --retries 2 install $(2) 2>&1) || { case "$$said" in \
  *"No space left"*) echo "The disk is full: free some of it, and run make again.";; \
  *"connection broken"* | *"from versions: none"*) echo "This machine reaches no package index: connect it to the network \
(or point pip at an index that it can reach), and run make again.";; \
  *) echo "$$said"; echo "Could not install the requirements; pip says why above.";; esac; exit 1; }
endef
