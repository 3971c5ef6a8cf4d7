"""Everything that guards the project, in one command."""

import subprocess
import sys
import time

from shapeofloss import workspace

CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "imports": ["importlinter"],
    "tests": ["pytest"],
}


def run() -> int:
    """Run every check from the checkout, whatever the others say; return 0 if all passed."""
    failed = []
    for name, module in CHECKS.items():
        print(f"== {name}", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", *module]
        if name == "imports":  # import-linter has no __main__
            command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as f; f()"]
        if subprocess.run(command, cwd=workspace.root()).returncode:
            failed.append(name)
        print(
            f"== {name}: {'FAILED' if name in failed else 'passed'} after {time.monotonic() - began:.0f} s", flush=True
        )
    print(f"Failed: {', '.join(failed)}." if failed else "All checks passed.")
    return int(bool(failed))
