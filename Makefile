# SPDX-License-Identifier: GPL-3.0-or-later
# The commands of this checkout: `make help`. They ask nothing, and need no terminal.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
# What is started here finds the tools of the checkout first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup lab lab-fresh demo test test-kernel invariants bench clean distclean

help: ## list these commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

setup: ## install what is missing: Debian packages, a virtual environment in .venv
	@tools/setup

lab: setup ## bring the lab up: hosts in containers on this machine
	@lab/lab up

lab-fresh: setup ## make the lab's hosts anew, with nothing deployed
	@lab/lab fresh

demo: lab ## deploy the example network onto the lab, prove it with packets, print who reaches what
	@tools/demo

test: ## all that CI runs
	@tools/setup tests
	@tools/test

test-kernel: setup ## the same collection on guests with a kernel's WireGuard: reboots, power cuts (part of CI too)
	@tools/test-kernel

invariants: setup ## write docs/invariants.md from the results of the last test and test-kernel
	@tools/invariants

bench: setup ## measure what the design promises, as ratios
	@tools/bench

clean: ## take the lab down, remove what was installed and cached in this checkout
	@if command -v podman >/dev/null; then lab/lab down; fi
	@rm -rf .venv .venv-galaxy .cache .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output
	@rm -f tenantnet-wireguard-*.tar.gz
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

distclean: clean ## the same, and remove the lab's images and keys, which all checkouts share
	@if command -v podman >/dev/null; then lab/lab forget; fi
