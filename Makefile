# `make` alone lists the targets. Settings are variables: `make demo ONCE=1 BACKFILL_API_PORT=9090`.
.DEFAULT_GOAL := help
.PHONY: help install demo up shell backfill down clean distclean test test-long test-stack test-browser test-days test-airflow2 bench bench-run lint types docs format lock
.PHONY: sbom simulate test-faults test-postgres test-helm demo-celery

VENV := .venv
VENV_AIRFLOW2 := .venv-airflow2
VENV_CELERY := .venv-celery
# Everything a run creates lies here.
export BACKFILL_HOME ?= $(CURDIR)/.backfill
# Without bytecode every Airflow task would compile its imports again.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ONCE=1         stop when the run has ended, with its result: 0 complete, 3 gaps remain, 1 failure"
	@echo "  REPLAY=DIR     serve the real candles of a folder instead of the synthetic market"
	@echo "  SYMBOLS, TIMEFRAME, START_TS, END_TS, BATCH_LIMIT, SLEEP_MS  for backfill: see docs/settings.md"
	@echo "  BACKFILL_HOME  where everything goes that a run creates ($(BACKFILL_HOME))"
	@echo "  BACKFILL_API_PORT, BACKFILL_PAPER_PORT  (8080 and 8900, or the next ones that are free)"

install: ## set up .venv: locked dependencies and this project
	@requirements/install.sh $(VENV)

demo: install ## watch Airflow close the gaps of a synthetic market [ONCE=1] [REPLAY=DIR]
	@$(VENV)/bin/backfill demo $(if $(ONCE),--once) $(if $(REPLAY),--replay "$(REPLAY)")

demo-celery: ## the same with two Celery workers and a Redis, in a venv of its own [ONCE=1] [WORKERS=2] [REPLAY=DIR]
	@scripts/install_redis.sh
	@requirements/install.sh $(VENV_CELERY) celery
	@$(VENV_CELERY)/bin/backfill demo --celery $(or $(WORKERS),2) $(if $(ONCE),--once) $(if $(REPLAY),--replay "$(REPLAY)")

up: install ## the same stack against the real exchanges [ONCE=1]
	@$(VENV)/bin/backfill up $(if $(ONCE),--once)

shell: install ## a shell beside what `make demo` or `make up` runs: `airflow` and `backfill` work in it
	@$(VENV)/bin/backfill env $${SHELL:-/bin/sh}

# The knobs of older jobs count on make's command line, and in .env, which the command reads; not as variables: they may be any
# program's. A .env that names a profile, or a timeframe that the deep history lacks, replaces the deep history.
profile_is_chosen = $(shell grep -sE '^ *(BACKFILL_PROFILE|TIMEFRAME) *=' .env .env.local)
option = $(if $(and $(filter command,$(origin $(2))),$(filter-out 0,$($(2)))),$(1) "$($(2))")

backfill: install ## fill the database of BACKFILL_DB with 250 days of every perpetual: the profile deep_history
	@$(VENV)/bin/backfill migrate
	@BACKFILL_PROFILE="$${BACKFILL_PROFILE-$(if $(profile_is_chosen),,deep_history)}" $(VENV)/bin/backfill fill \
		$(call option,--symbols,SYMBOLS) $(call option,--timeframes,TIMEFRAME) \
		$(call option,--from,START_TS) $(call option,--to,END_TS) \
		$(call option,--batch-limit,BATCH_LIMIT) $(call option,--sleep-ms,SLEEP_MS)

down: ## stop what was started from this folder, and only that
	@if [ -x $(VENV)/bin/python ]; then $(VENV)/bin/python -m backfill.local.down; fi

clean: ## stop, and remove everything that runs have created
	@if [ -x $(VENV)/bin/python ]; then $(VENV)/bin/python -m backfill.local.down --remove; fi
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	@find . -path './$(VENV)*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## and the virtual environments
	@rm -rf $(VENV) $(VENV_AIRFLOW2) $(VENV_CELERY)

# Two workers for each core, since tests wait for Postgres, Airflow and clocks; and what has taken longest.
PARALLEL = --numprocesses=$(shell echo $$(( 2 * $$(getconf _NPROCESSORS_ONLN) ))) --maxprocesses=8 --durations=20

test: lint types ## ruff, mypy, import-linter, pytest on all cores [PYTEST="-k name"]
	@$(VENV)/bin/python -m pytest $(PARALLEL) $(PYTEST)

test-long: install-dev ## the tests that search: fuzzing, mixes of faults, kills, whole real histories [PYTEST="-k name"]
	@$(VENV)/bin/python -m pytest -m "long and not slow_faults" $(PARALLEL) $(PYTEST)

test-stack: install-dev ## the tests that start a whole Airflow, one after another [PYTEST="-k name"]
	@$(VENV)/bin/python -m pytest -m stack --durations=20 $(PYTEST)

test-browser: install-dev ## the pages in Chromium: every page in light and dark, axe, Fill; screenshots in dist/screenshots
	@tests/browser/install.sh
	@$(VENV)/bin/python -m pytest -m browser $(PYTEST)

test-helm: install-dev ## deploy/helm/values.yaml, rendered with the official chart; needs Helm [HELM=helm] [HELM_CHART=folder or .tgz]
	@chart=$$(tests/helm/pull_chart.sh) && HELM_CHART="$$chart" $(VENV)/bin/python -m pytest -m helm $(PYTEST)

simulate: install-dev ## the engine in simulated worlds, by seed [SEEDS=0-999] [HOURS=24]
	@$(VENV)/bin/python tests/simulation/seeds.py $(or $(SEEDS),$(if $(HOURS),random,0-999)) $(if $(HOURS),--hours $(HOURS))

test-faults: install-dev ## every fault on a real process; writes docs/fault_matrix.md (two cells fill a disk: as root only)
	@tests/install_faketime.sh
	@scripts/install_redis.sh
	@requirements/install.sh $(VENV_CELERY) celery
	@FAULT_RESULTS=dist/faults $(VENV)/bin/python -m pytest -m faults $(PYTEST)
	@FAULT_RESULTS=dist/faults $(VENV_CELERY)/bin/python -m pytest -m faults tests/faults/test_airflow.py -k celery
	@FAULT_RESULTS=dist/faults $(VENV)/bin/python tests/faults/render.py

test-postgres: install-dev ## storage and the whole command line behind pgbouncer, on each version [VERSIONS="15 16 18"]
	@tests/install_pgbouncer.sh
	@for major in $(or $(VERSIONS),15 16 18); do \
		echo "PostgreSQL $$major"; tests/install_postgres.sh $$major || exit; \
		$(VENV)/bin/python -m pytest --postgres $$major -m "long or not long" $(PARALLEL) $(or $(PYTEST),tests/integration/storage tests/integration/pooler) || exit; \
	done

test-days: install-dev ## what depends on the clock, at moments that matter, under libfaketime [DAYS=2]
	@tests/install_faketime.sh
	@$(VENV)/bin/python tests/run_on_days.py $(if $(DAYS),--days $(DAYS)) $(PYTEST)

test-airflow2: ## the Dags' tests and `airflow dags backfill` on Airflow 2.11, in a venv of its own [PYTEST="-k name"]
	@requirements/install.sh $(VENV_AIRFLOW2) airflow2
	@$(VENV_AIRFLOW2)/bin/python -m pytest $(PARALLEL) $(or $(PYTEST),tests/dags tests/airflow2)

bench: install ## print the figures of benchmarks/, in about twelve minutes
	@$(VENV)/bin/python benchmarks/store_candles.py
	@$(VENV)/bin/python benchmarks/read_page.py
	@$(VENV)/bin/python benchmarks/detect_gaps.py
	@$(VENV)/bin/python benchmarks/many_series.py
	@$(VENV)/bin/python benchmarks/conditions.py
	@$(VENV)/bin/python benchmarks/compare_candles.py
	@$(VENV)/bin/python benchmarks/first_fill.py
	@$(VENV)/bin/python benchmarks/find_corruptions.py
	@$(VENV)/bin/python benchmarks/real_faults.py
	@$(VENV)/bin/python benchmarks/thorough_validation.py
	@$(VENV)/bin/python benchmarks/deep_history.py --scale 20
	@$(VENV)/bin/python benchmarks/long_series.py
	@$(VENV)/bin/python benchmarks/pages.py

bench-run: install ## print the anatomy of Airflow runs: tasks, seconds, CPU
	@$(VENV)/bin/python benchmarks/dag_run.py

lint: install-dev ## ruff and the direction of imports
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/lint-imports --no-logo

types: install-dev ## mypy, strict
	@$(VENV)/bin/mypy --no-error-summary

docs: install ## build the documentation's site into dist/docs; a broken link fails
	@requirements/install.sh $(VENV) docs
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs --quiet build --strict
	@echo "$(CURDIR)/dist/docs/index.html"

format: install-dev ## rewrite the code as ruff wants it
	@$(VENV)/bin/ruff check --quiet --fix .
	@$(VENV)/bin/ruff format --quiet .

lock: ## lock the newest allowed versions anew; needs uv
	@requirements/lock.sh --upgrade

sbom: install ## write the bill of materials of each lock to dist/ (CycloneDX)
	@for lock in airflow3 airflow2 celery compose dev; do $(VENV)/bin/python requirements/sbom.py requirements/$$lock.lock dist/$$lock.cdx.json; done

.PHONY: install-dev
install-dev:
	@requirements/install.sh $(VENV) dev
