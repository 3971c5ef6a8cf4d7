"""Everything that guards the project, in one command."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import IO

from shapeofloss.engine import workspace

NOTEBOOKS = "tests/test_notebooks.py"
COLOUR = "yes" if sys.stdout.isatty() else "no"  # what pytest says passes through a pipe
CHECKS = {
    "lint": ["ruff", "check", "--output-format=concise", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "imports": ["importlinter"],
    "notebooks": ["pytest", NOTEBOOKS],
    "tests": ["pytest", f"--color={COLOUR}", f"--ignore={NOTEBOOKS}"],
}
REASON = re.compile(r"(FAILED|ERROR) .*|.* BROKEN")  # of pytest, of import-linter; the others begin with it


def run() -> int:
    """Run every check from the checkout, whatever the others say; return 0 if all passed.

    The notebooks run beside the rest, which keeps one core busy at a time; what they said is shown at the end. The
    first reason of the first check that failed is the last line.
    """
    failed: dict[str, str] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        with _start("notebooks", said) as notebooks:
            for name in CHECKS:
                if name != "notebooks":
                    _check(name, failed)
            status = notebooks.wait()
        said.seek(0)
        lines = said.read().splitlines()
        print("== notebooks", *lines, sep="\n", flush=True)
    if status:
        failed["notebooks"] = first_reason(lines)
    if not failed:
        print("All checks passed.")
        return 0
    print(f"Failed: {', '.join(failed)}.")
    name, reason = next(iter(failed.items()))
    print(f"First failure: {name}: {reason}")
    return 1


def first_reason(lines: Iterable[str]) -> str:
    """Return the first line that gives a reason; the first line of all if none does.

    Example:
        >>> first_reason(["3 tests", "FAILED tests/test_a.py::test_b - assert 1 == 2", "1 failed"])
        'FAILED tests/test_a.py::test_b - assert 1 == 2'
    """
    plain = [text for line in lines if (text := re.sub(r"\033\[[0-9;]*m", "", line).strip())]
    return next((line for line in plain if REASON.fullmatch(line)), plain[0] if plain else "it said nothing")


def _start(name: str, output: IO[str] | int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *CHECKS[name]]
    if name == "imports":  # import-linter has no __main__
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as f; f()"]
    return subprocess.Popen(
        command,
        cwd=workspace.root(),
        stdout=output,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )


def _check(name: str, failed: dict[str, str]) -> None:
    """Run a check, show what it says, and note the reason if it fails."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    lines = []
    with _start(name, subprocess.PIPE) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    if process.returncode:
        failed[name] = first_reason(lines)
    print(f"== {name}: {'FAILED' if name in failed else 'passed'} after {time.monotonic() - began:.0f} s", flush=True)
