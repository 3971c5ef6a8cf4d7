"""The C++ compiler, and whether KeOps will be able to use it. Standard library only: the set-up asks too."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path


def find() -> str | None:
    """Return the C++ compiler: `CXX` if set, else g++ or clang++; None if there is none."""
    named = os.environ.get("CXX")
    return shutil.which(named) if named else shutil.which("g++") or shutil.which("clang++")


def missing() -> str:
    """Compile one line that includes Python.h, as KeOps does; return what to do if that fails, else an empty text."""
    compiler = find()
    if compiler is None:
        return "KeOps needs a C++ compiler: install g++ (Debian: apt install g++; macOS: xcode-select --install)."
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text("#include <Python.h>\n", encoding="utf-8")
        command = [
            compiler,
            f"-I{sysconfig.get_path('include')}",
            "-c",
            str(source),
            "-o",
            str(source.with_suffix(".o")),
        ]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return ""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"KeOps needs the headers of Python {version}: install python{version}-dev, or set CXX to a working compiler."
    )
