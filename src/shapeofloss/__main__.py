"""The command line: `python -m shapeofloss`."""

# This file and installation.py are read by whatever Python a machine calls python3, so that an old one gets a sentence.
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Python %d.%d is too old: install Python 3.11 or newer and call make with PYTHON=python3.11, for example."
        % sys.version_info[:2]
    )

from shapeofloss.runner.cli import main

for stream in (sys.stdout, sys.stderr):
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no reason to stop

sys.exit(main())
