"""The C++ compiler, and places for what it makes. Standard library only: the set-up asks too.

KeOps puts paths into a shell's command line without quotes, and stops where it cannot write. `ready_keops` gives it
paths that it can use, before anything imports it.
"""

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from shapeofloss.errors import UserError

KEOPS_FOLDER = "KEOPS_CACHE_FOLDER"  # KeOps's own variable


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


def is_plain(path: Path | str) -> bool:
    """Tell whether a shell takes a path as one word without quotes; letters of any alphabet are fine."""
    return re.fullmatch(r"[\w@%+=:,./-]+", str(path)) is not None


def cache_folder() -> Path:
    """Return the folder for what is compiled once: in the user's cache, or a private one if that cannot be written."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path("~").expanduser() / ".cache") / "shapeofloss"
    return place if _can_be_written(place) else private_folder()


def private_folder() -> Path:
    """Return a temporary folder that belongs to this user alone and needs no quotes; it is made if it is not there.

    Raises:
        UserError: If there is no place for one.
    """
    tried = list(dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]))
    for base in filter(is_plain, tried):
        folder = Path(base) / f"shapeofloss-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError:
            continue
        # Whoever made it first could otherwise put libraries of their own there.
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
    raise UserError(
        f"A private folder for compiled code can be made in none of {', '.join(tried)}: "
        "set TMPDIR to a folder that can be written and whose path has no space."
    )


def link_to(target: Path) -> Path:
    """Return a link to a folder, always the same, whose own path needs no quotes.

    Raises:
        UserError: As for `private_folder`.
    """
    link = private_folder() / hashlib.sha256(os.fsencode(target)).hexdigest()[:16]
    try:
        link.symlink_to(target)
    except FileExistsError:
        if link.readlink() != target:
            raise UserError(f"{link} should be a link to {target}: remove it and try again.") from None
    return link


def ready_keops() -> Path:
    """Make KeOps quiet and give it paths that it can use; call it before anything imports KeOps.

    Where its folder cannot be written it gets a private one, and where the path has a space a link. Where the path of
    the environment has a space, KeOps is imported at once and its command line gets quotes.

    Returns:
        The folder below which KeOps keeps its libraries: its own, or the one or the link that it is given instead.
    Raises:
        UserError: As for `private_folder`.
    """
    os.environ.setdefault("KEOPS_VERBOSE", "0")  # it would tell that it sees no GPU
    given = os.environ.get(KEOPS_FOLDER)
    place = Path(given or Path("~").expanduser() / ".cache").absolute()
    if not _can_be_written(place):
        place = private_folder() / "keops"
        os.environ[KEOPS_FOLDER] = str(place)
    elif not is_plain(place):
        target = place if given else place / "keops"
        target.mkdir(exist_ok=True)
        place = link_to(target)
        os.environ[KEOPS_FOLDER] = str(place)
    if not is_plain(sys.executable) or not is_plain(_folder_of("keopscore")) or not is_plain(_folder_of("pybind11")):
        _quote_keops()
    return place


def _quote_keops() -> None:
    try:
        import pybind11  # type: ignore[import-not-found, unused-ignore]
        from keopscore.config import config
        from pykeops.common.keops_io import LoadKeOps_cpp
    except Exception:  # KeOps is not there, or one of its files is damaged: its own import tells
        return
    base = str(config.get_base_dir_path())
    if shlex.quote(base) not in config.cpp_flags:
        config.cpp_flags = config.cpp_flags.replace(f"-I{base}", f"-I{shlex.quote(base)}")
    includes = [sysconfig.get_path("include"), sysconfig.get_path("platinclude"), pybind11.get_include()]
    LoadKeOps_cpp.python_includes = " ".join(f"-I{shlex.quote(path)}" for path in dict.fromkeys(includes))


def _folder_of(package: str) -> str:
    """Return where a package is, or a dot if it is not there."""
    found = importlib.util.find_spec(package)
    return str(Path(found.origin).parent) if found and found.origin else "."


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
