"""Everything that guards the project, in one command."""

import subprocess
import sys
import tempfile
import time
from typing import IO

from shapeofloss import workspace

NOTEBOOKS = "tests/test_notebooks.py"
CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "imports": ["importlinter"],
    "notebooks": ["pytest", NOTEBOOKS],
    "tests": ["pytest", f"--ignore={NOTEBOOKS}"],
}


def run() -> int:
    """Run every check from the checkout, whatever the others say; return 0 if all passed.

    The notebooks run beside the rest, which keeps one core busy at a time; what they said is shown at the end.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        _start("notebooks", said) as notebooks,
    ):
        failed = [name for name in CHECKS if name != "notebooks" and not _passed(name)]
        if notebooks.wait():
            failed.append("notebooks")
        said.seek(0)
        print(f"== notebooks\n{said.read()}", flush=True)
    print(f"Failed: {', '.join(failed)}." if failed else "All checks passed.")
    return int(bool(failed))


def _start(name: str, output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *CHECKS[name]]
    if name == "imports":  # import-linter has no __main__
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as f; f()"]
    return subprocess.Popen(command, cwd=workspace.root(), stdout=output, stderr=output and subprocess.STDOUT)


def _passed(name: str) -> bool:
    print(f"== {name}", flush=True)
    began = time.monotonic()
    good = _start(name).wait() == 0
    print(f"== {name}: {'passed' if good else 'FAILED'} after {time.monotonic() - began:.0f} s", flush=True)
    return good
