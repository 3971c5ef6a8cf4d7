# A thin face of `python -m shapeofloss`. Variables: PROFILE (smoke, laptop, paper), PYTHON (3.11 or newer), ARGS.
PYTHON ?= python3
PROFILE ?= laptop
SHAPEOFLOSS = .venv/bin/python -m shapeofloss

.PHONY: help setup figures test lab
help:
	@echo "make figures [PROFILE=smoke]   regenerate every figure and the ledger (sets up .venv the first time)"
	@echo "make test                      run everything that guards the project"
	@echo "make lab                       open JupyterLab on this machine; scripts open as notebooks"
	@echo "More: $(SHAPEOFLOSS) --help"

setup:
	@PYTHONPATH=src $(PYTHON) -m shapeofloss setup

figures: setup
	@$(SHAPEOFLOSS) figures --profile $(PROFILE) $(ARGS)

test: setup
	@$(SHAPEOFLOSS) test $(ARGS)

lab: setup
	@$(SHAPEOFLOSS) lab $(ARGS)
