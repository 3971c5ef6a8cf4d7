"""The commands of `python -m shapeofloss`."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError, unknown
from shapeofloss.runner import installation

if TYPE_CHECKING:
    from shapeofloss.engine.profiles import Notebook
    from shapeofloss.runner.schedule import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status; an error of the user is one sentence on stderr."""
    parser = _parser()
    options, further = parser.parse_known_args(arguments)
    options.further = further
    if further and options.command not in (_lab, _scheduler, _worker):
        parser.error(f"unknown: {' '.join(further)}")
    try:
        return int(options.command(options) or 0)
    except UserError as error:
        print(f"shapeofloss: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `... | head` has read enough
        sys.stderr.close()
        return 1
    except OSError as error:  # a full disk, a folder that is not ours
        print(f"shapeofloss: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nshapeofloss: interrupted.", file=sys.stderr)
        return 130


def _setup(options: argparse.Namespace) -> int:
    installation.install()
    return 0


def _figures(options: argparse.Namespace) -> int:
    from shapeofloss.runner import publish, report, schedule

    chosen, settings = _asked(options)
    if settings.published:  # told now, not after an hour; a damaged file, too
        publish.check_all_writable()
    for path in (publish.ledger_path(), publish.index_path()):
        publish.committed(path)
    if settings.profile == "paper":
        hours = sum(notebook.minutes["paper"] for notebook in chosen) / 60
        gigabytes = sum(notebook.paper_gigabytes for notebook in chosen)
        print(f"The paper profile needs about {hours:.1f} hours and {gigabytes:.1f} GB of disk for these notebooks.")
    with report.Progress(settings.profile) as progress:
        outcomes = schedule.run(chosen, settings, progress)
    print("\n" + report.table(outcomes))
    if settings.published:
        publish.refresh()
    print(report.places(chosen, settings))
    if all(outcome.status == "up to date" for outcome in outcomes):
        print("\nEverything is up to date; --force runs it again.")
    print(report.failures(outcomes), end="")
    if any(outcome.status == "interrupted" for outcome in outcomes):
        return 130
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _asked(options: argparse.Namespace) -> "tuple[list[Notebook], Settings]":
    """Return the notebooks and settings that the options name; raise an error for what cannot be run."""
    from shapeofloss.engine import profiles
    from shapeofloss.runner import inputs, schedule

    catalogue = profiles.load()
    for name in options.notebooks:
        if name not in catalogue:
            raise unknown("notebook", name, catalogue)
    chosen = [catalogue[name] for name in dict.fromkeys(options.notebooks)] or list(catalogue.values())
    profile = profiles.check_profile(options.profile)
    overrides = dict(inputs.parse_override(text) for text in options.parameter)
    for notebook in chosen:
        inputs.check_overrides(notebook, overrides)
    if options.jobs < 1:
        raise UserError(f"--jobs {options.jobs} runs nothing: give a number from 1.")
    if options.limit is not None and options.limit <= 0:
        raise UserError(f"--limit {options.limit:g} leaves no time: give a number of seconds above 0.")
    profiles.check_shared(catalogue)
    return chosen, schedule.Settings(profile, options.jobs, overrides, options.force, options.limit)


def _list(options: argparse.Namespace) -> int:
    from shapeofloss.engine import profiles
    from shapeofloss.runner import report, schedule

    print(report.catalogue(profiles.load(), schedule.Settings(profiles.check_profile(options.profile), 1, {})))
    return 0


def _ledger(options: argparse.Namespace) -> int:
    from shapeofloss.ledger.claims import PARTS
    from shapeofloss.ledger.rows import VERDICTS, summary
    from shapeofloss.runner import publish, report

    for kind, given, valid in (("part", options.part, PARTS), ("verdict", options.verdict, VERDICTS)):
        if given is not None and given not in valid:
            raise unknown(kind, given, valid)
    if options.refresh:
        publish.refresh()
    if options.part or options.verdict:
        print(report.ledger_lines(options.part, options.verdict))
    else:
        print(summary(publish.committed(publish.ledger_path())))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from shapeofloss.runner.compare import compare

    lines = compare(options.first, options.second, tolerance=options.tolerance)
    print("\n".join(lines) or "The two runs agree.")
    return 1 if lines else 0


def _lab(options: argparse.Namespace) -> int:
    from shapeofloss.runner.lab import start

    return start(options.further)


def _study(options: argparse.Namespace) -> int:
    from shapeofloss.engine import profiles
    from shapeofloss.experiments.network_study import study

    found = study.run(**study.numbers(profiles.check_profile(options.profile)), cluster=options.cluster)
    print(study.summary(found))
    return 1 if found.failures else 0


def _scheduler(options: argparse.Namespace) -> NoReturn:
    _dask("scheduler", "127.0.0.1:8787", *options.further)


def _worker(options: argparse.Namespace) -> NoReturn:
    _dask("worker", "127.0.0.1:0", "--nthreads", "1", *options.further)


def _dask(command: str, dashboard: str, *further: str) -> NoReturn:
    # Dask's own scheduler listens to every network, and so do its dashboard and the HTTP server of each worker.
    loopback = ["--host", "127.0.0.1", "--dashboard-address", dashboard]
    # In place of this process, so that what ends the command ends Dask.
    os.execv(sys.executable, [sys.executable, "-m", "dask", command, *loopback, *further])


def _test(options: argparse.Namespace) -> int:
    from shapeofloss.runner.checks import run

    return run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shapeofloss", description="Regenerate the figures and the ledger.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    made = {}
    for name, (function, text) in COMMANDS.items():
        made[name] = commands.add_parser(name, help=text, description=text)
        made[name].set_defaults(command=function)
    for name in ("figures", "list", "study"):
        made[name].add_argument("--profile", default="laptop", help="smoke, laptop (default) or paper")
    figures = made["figures"].add_argument
    figures("notebooks", nargs="*", metavar="NOTEBOOK", help="names such as 101_jump_and_retrain; all if none")
    figures("--jobs", type=int, default=workspace.cores(), help="notebooks at once (default: cores)")
    figures("--force", action="store_true", help="run even what is up to date")
    figures("--limit", type=float, help="seconds per notebook, instead of its own limit")
    figures("-p", dest="parameter", action="append", default=[], metavar="NAME=VALUE", help="override a parameter")
    made["ledger"].add_argument("--part")
    made["ledger"].add_argument("--verdict")
    made["ledger"].add_argument("--refresh", action="store_true", help="judge the committed measurements again first")
    compare = made["compare"].add_argument
    compare("first", metavar="RUN_A", help="a checkout, a folder like runs/smoke, or a profile")
    compare("second", metavar="RUN_B")
    compare("--tolerance", type=float, default=0.0, help="relative difference that counts as equal")
    made["study"].add_argument(
        "--cluster", help="address or scheduler file of a Dask cluster; this machine if left out"
    )
    return parser


COMMANDS = {
    "setup": (_setup, "make .venv with the pinned environment, if it is not there"),
    "figures": (_figures, "run notebooks and regenerate their figures and ledger rows"),
    "list": (_list, "show the notebooks: expected minutes, needs, whether results are of this code"),
    "ledger": (_ledger, "show the fidelity ledger: its summary, or the rows of a part or verdict"),
    "compare": (_compare, "compare two runs: verdicts and figure numbers that differ"),
    "lab": (_lab, "open JupyterLab on loopback; scripts open as notebooks; further options are passed on"),
    "study": (_study, "train the networks of the study, and sample the loss around each"),
    "scheduler": (_scheduler, "start a Dask scheduler on loopback; further options are passed on to it"),
    "worker": (_worker, "start Dask workers on loopback, of one thread each; further options are passed on to them"),
    "test": (_test, "run everything that guards the project"),
}
