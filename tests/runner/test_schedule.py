"""The runner on real notebooks that end well, fail, hang, flood and are killed."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from conftest import CLAIM, EMPIRICAL, call, environment

from shapeofloss.engine import profiles
from shapeofloss.errors import UserError
from shapeofloss.files import read_json
from shapeofloss.runner import inputs, process, publish, report, schedule

GOOD = """# %%
import matplotlib.pyplot as plt
from shapeofloss import figures, ledger
from shapeofloss.engine import workspace
workspace.begin("{name}")

# %%
figure, axes = plt.subplots()
axes.plot([1, 2, 3])
figures.save(figure, "line", alt="A line that rises from one to three over three points.", data={{"y": [1, 2, 3]}})

# %%
print("seed", seed)
ledger.record({{"{name}-claim": [0.5, 0.5, seed]}})
"""


def claims(*names):
    """Files of claims, of one claim each."""
    return {name: CLAIM.format(id=f"{name}-claim", kind="number", rule=EMPIRICAL) for name in names}


def good(*names):
    return {name: GOOD.format(name=name) for name in names}


def committed(root: Path) -> dict[str, bytes]:
    """Every file that a run may publish, by its path."""
    folders = [root / "figures", root / "data" / "ledger"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(root)): p.read_bytes() for p in [*files, *(root / "notebooks").glob("*.ipynb")]}


def processes_in(root: Path) -> list[psutil.Process]:
    """Every process that was started for this checkout, kernels included."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get("SHAPEOFLOSS_ROOT") == str(root) and one.pid != os.getpid():
                found.append(one)
        except (psutil.Error, OSError):
            continue
    return found


def gone(root: Path, seconds: float = 8) -> bool:
    end = time.monotonic() + seconds
    while processes_in(root):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def start(root: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "shapeofloss", "figures", *arguments]
    return subprocess.Popen(command, env=environment(root), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_whatever_one_notebook_does_the_others_end_well_and_each_failure_is_explained(checkout):
    bodies = {
        **good("01_good"),
        "02_fails": "# %%\n1 + 1\n\n# %%\nprint('before')\nraise ValueError('the reason' + 'x' * 5_000_000)\n",
        "03_hangs": "# %%\nimport subprocess\nsubprocess.Popen(['sleep', '300'])\nsubprocess.run(['sleep', '300'])\n",
        "04_floods": "# %%\nwhile True:\n    print('x' * 100_000)\n",
        "05_killed": "# %%\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
        "06_exits": "# %%\nimport sys\nsys.exit()\n\n# %%\nraise ValueError('never reached')\n",
        "07_exits_last": "# %%\nimport sys\nprint('before')\nsys.exit(0)\n",
        "08_quits_last": "# %%\nquit()\n",
        "09_allows": "# %% tags=[\"raises-exception\"]\nraise ValueError('allowed')\n",
        "10_group": "# %%\nraise ExceptionGroup('several', [ValueError('one'), ValueError('two')])\n",
        "11_waits": "# %%\nbreakpoint()\n",
        "12_twice": '# %% tags=["parameters"]\nsize = 1000\n',
    }
    root = checkout(bodies, claims=claims("01_good"))
    result = call(root, "figures", "--limit", "40", "--jobs", "6")
    assert result.returncode == 1, result.stdout + result.stderr
    words = {
        line.split()[0]: line.split() for line in result.stdout.splitlines() if line[:2].isdigit() and ":" not in line
    }
    assert words["01_good"][1] == "done" and float(words["01_good"][-1]) > 50
    assert words["02_fails"][1] == "failed" and words["03_hangs"][1:3] == ["timed", "out"]
    assert words["04_floods"][1] == "failed" and words["05_killed"][1] in ("failed", "killed")
    assert all(words[name][1] == "failed" for name in bodies if name > "06"), result.stdout
    assert "SystemExit: 0" in result.stdout and "The notebook ended itself in cell 3" in result.stdout
    assert "ValueError: allowed" in result.stdout and "ExceptionGroup: several (2 sub-exceptions)" in result.stdout
    assert "RuntimeError: breakpoint() waits" in result.stdout and "2 cells tagged parameters" in result.stdout
    assert max(map(len, result.stdout.splitlines())) < 1000
    assert result.stdout.splitlines()[-1].startswith("First failure: 02_fails: In cell 4 of 4: ValueError: the reason")
    for text in ("In cell 4 of 4", "ValueError: the reason", "runs/laptop/02_fails/partial.ipynb", "No end after 40 s"):
        assert text in result.stdout
    assert "exceed 20,000,000 characters" in result.stdout and "died" in result.stdout.lower()
    assert "before" in (root / "runs/laptop/02_fails/partial.ipynb").read_text(encoding="utf-8")
    assert {Path(name).parts[-1] for name in committed(root)} == {
        "index.json", "laptop.json", "line.svg", "line.csv", "01_good.ipynb",
    }  # fmt: skip
    assert gone(root), processes_in(root)


def test_the_second_run_is_up_to_date_until_something_that_counts_changes(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    assert call(root, "figures").returncode == 0
    before = committed(root)
    again = call(root, "figures")
    assert again.returncode == 0 and "Everything is up to date" in again.stdout
    line = call(root, "list").stdout.splitlines()[1]
    assert line.split() == ["01_good", "0.1", "-", *["of", "this", "code", "nothing", "to", "do"]]
    assert call(root, "figures", "--force").returncode == 0 and committed(root) == before

    image = root / "figures/01_good/line.svg"
    image.write_text("damaged", encoding="utf-8")
    assert " done " in call(root, "figures").stdout and committed(root) == before
    pins = root / "pins.txt"
    pins.write_text("numpy==0\n", encoding="utf-8")
    assert "changed" in call(root, "list").stdout
    pins.write_text("", encoding="utf-8")
    ledger = root / "data/ledger/laptop.json"
    ledger.write_text("[]\n", encoding="utf-8")
    assert " done " in call(root, "figures").stdout and committed(root) == before


def test_text_and_comments_are_taken_over_without_a_run(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    call(root, "figures")
    script, printed = root / "notebooks/01_good.py", root / "notebooks/01_good.ipynb"
    before, figures = nbformat.read(printed, as_version=4), (root / "figures/index.json").read_bytes()
    text = script.read_text(encoding="utf-8").replace("# A small notebook.", "# A better word.")
    script.write_text(text.replace('print("seed", seed)', '# a remark\nprint("seed", seed)'), encoding="utf-8")
    assert "01_good: reworded" in call(root, "figures").stdout
    after = nbformat.read(printed, as_version=4)
    assert after.cells[0].source == "A better word." and after.cells[-1].source.startswith("# a remark\n")
    assert [cell.get("outputs") for cell in after.cells] == [cell.get("outputs") for cell in before.cells]
    assert (root / "figures/index.json").read_bytes() == figures
    assert "Everything is up to date" in call(root, "figures").stdout
    moved = script.read_text(encoding="utf-8").replace("# a remark\n", "seed\n\n# %%\n")
    script.write_text(moved, encoding="utf-8")  # another cell: another print
    assert " done " in call(root, "figures").stdout


def test_the_quickest_start_first_then_the_longest_and_what_takes_up_results_waits(checkout):
    names = ("01_a", "02_b", "03_c", "04_d")
    checkout(dict.fromkeys(names, "# %%\n1\n"))
    minutes = dict(zip(names, (5.0, 1.0, 9.0, 3.0), strict=True))
    notebooks = [
        replace(
            notebook, minutes={"laptop": minutes[name]}, exclusive=name == "04_d", after=("03_c",) * (name == "01_a")
        )
        for name, notebook in profiles.load().items()
    ]
    order = schedule.in_order(notebooks, schedule.Settings("laptop", 1, {}))
    assert [notebook.name for notebook in order] == ["02_b", "03_c", "01_a", "04_d"]
    assert schedule._has_to_wait(notebooks[0], notebooks) and not schedule._has_to_wait(notebooks[0], notebooks[:2])


def test_list_and_the_closing_table_fit_a_terminal_of_100_columns():
    catalogue, settings = profiles.load(), schedule.Settings("laptop", 1, {})
    outcomes = [schedule.Outcome(name, "interrupted", 3600.0, 20_000.0) for name in catalogue]
    lines = [*report.catalogue(catalogue, settings).splitlines(), *report.table(outcomes).splitlines()]
    assert len(lines) == 2 * len(catalogue) + 2 and max(map(len, lines)) <= 100


def test_on_a_terminal_each_notebook_has_a_bar_with_the_time_left(checkout, monkeypatch, capsys):
    checkout()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    (notebook,) = profiles.load().values()
    process = SimpleNamespace(notebook=notebook, cell=2, cells=4, elapsed=2.0, progress="")
    with report.Progress("laptop") as progress:
        progress([process], [], [], 3)
        progress.bars._progress.refresh()
        progress([], [schedule.Outcome("01_small", "done", 5.0)], [], 3)
    said = re.sub(r"\033\[[^a-zA-Z]*[a-zA-Z]", "", capsys.readouterr().out)
    assert "cell 2 of 4, about 0:04 left" in said and "0 of 3 notebooks" in said and "01_small: done after 0:05" in said


def test_a_figure_comes_from_the_packages_that_its_notebook_imports():
    notebooks = profiles.load()
    keops, codec = (inputs.packages(notebooks[name]) for name in ("301_symbolic_matrices", "204_images"))
    assert {"matplotlib", "numpy", "pykeops"} <= set(keops) and "constriction" not in keops
    assert "constriction" in codec and "geomloss" not in codec and codec["numpy"] == metadata.version("numpy")


def test_the_print_is_normalised_and_in_step_with_its_script(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    call(root, "figures")
    text = (root / "notebooks/01_good.ipynb").read_text(encoding="utf-8")
    executed = nbformat.reads(text, as_version=4)
    assert [cell.id for cell in executed.cells] == [f"cell-{n:03d}" for n in range(len(executed.cells))]
    assert str(root) not in text and "papermill" not in text and "iopub" not in text
    picture, words = executed.cells[3].outputs
    assert picture.metadata["image/png"]["alt"].startswith("A line")
    assert set(picture.data) == {"image/png", "text/plain"}
    (link, _) = re.findall('href="([^"]+)"', words.data["text/html"])
    assert (root / "notebooks" / link).resolve() == root / "figures/01_good/line.svg"
    (entry,) = json.loads((root / "figures/index.json").read_text(encoding="utf-8"))
    assert (
        entry["notebook"] == "01_good"
        and entry["seed"] == 0
        and entry["profile"] == "laptop"
        and len(entry["inputs"]) == 16
    )


def test_smoke_runs_overridden_runs_and_readers_never_touch_committed_results(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    assert call(root, "figures", "--profile", "smoke").returncode == 0
    assert call(root, "figures", "-p", "seed=1").returncode == 0
    printed = (root / "runs/laptop-overridden/01_good/01_good.ipynb").read_text(encoding="utf-8")
    assert "seed 1" in printed and "injected-parameters" in printed
    (entry,) = json.loads((root / "runs/laptop-overridden/01_good/figures.json").read_text(encoding="utf-8"))
    assert entry["seed"] == 1 and entry["profile"] == "laptop-overridden"
    reader = "import os; os.chdir('notebooks'); seed = 0\n" + GOOD.format(name="01_good")
    variables = environment(root) | {"MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-c", reader], cwd=root, env=variables, check=True, capture_output=True)
    assert (root / "runs/interactive/01_good/figures/line.svg").is_file()
    assert committed(root) == {}


def test_a_killed_run_leaves_no_process_and_the_next_one_gives_the_same_bytes(checkout):
    slow = GOOD.format(name="02_slow") + "\n# %%\nimport time\ntime.sleep(2)\n"
    root = checkout({**good("01_good"), "02_slow": slow}, claims=claims("01_good", "02_slow"))
    assert call(root, "figures").returncode == 0
    undisturbed = committed(root)
    for path in undisturbed:
        (root / path).unlink()
    run = start(root, "--force")
    while not (root / "runs/laptop/02_slow/figures.json").exists():
        time.sleep(0.05)
        assert run.poll() is None
    run.kill()
    run.communicate()
    assert gone(root), processes_in(root)
    assert not [path for path in committed(root) if "02_slow" in path]
    assert call(root, "figures").returncode == 0
    assert committed(root) == undisturbed
    assert not list(root.rglob("*.tmp"))


IN_PUBLISHING = """
import os, signal
from pathlib import Path
replace = Path.replace
def disturbed(path, target):
    if target.name == "index.json":
        Path.replace = replace  # once
        {disturbance}
    return replace(path, target)
Path.replace = disturbed
from shapeofloss.runner.cli import main
raise SystemExit(main(["figures"]))
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
TERMINATE = "os.kill(os.getpid(), signal.SIGTERM)"


def test_a_run_killed_while_publishing_is_completed_by_the_next_one(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    driver = [sys.executable, "-c", IN_PUBLISHING.format(disturbance=KILL)]
    assert subprocess.run(driver, env=environment(root), capture_output=True).returncode == -signal.SIGKILL
    assert (root / "figures/.index.json.new.tmp").exists() and not (root / "figures/index.json").exists()
    assert " done " in call(root, "figures").stdout
    assert not list(root.rglob("*.tmp")) and len(read_json(root / "figures/index.json")) == 1


def test_an_interrupt_while_publishing_waits_until_results_are_in_their_places(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    driver = [sys.executable, "-c", IN_PUBLISHING.format(disturbance=TERMINATE)]
    assert subprocess.run(driver, env=environment(root), capture_output=True).returncode == 130
    assert len(read_json(root / "figures/index.json")) == 1
    assert "Everything is up to date" in call(root, "figures").stdout


DISK = {"count": 0, "fails": lambda number, event: False}


def _full_disk(event, details):
    """Let an operation that changes files fail; an audit hook sees all of them, and stays for the process's life."""
    if event in ("os.rename", "os.remove", "os.mkdir", "os.chmod") or (
        event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR)
    ):
        DISK["count"] += 1
        if DISK["fails"](DISK["count"], event):
            raise OSError(28, "No space left on device")


sys.addaudithook(_full_disk)


def a_run(root: Path, name: str, value: int, figures: list[str]) -> Path:
    """What an executed notebook leaves in its run folder."""
    folder = root / "runs/laptop" / name
    (folder / "figures").mkdir(parents=True)
    (folder / f"{name}.ipynb").write_text(f'{{"metadata": {{"value": {value}}}}}', encoding="utf-8")
    for figure in figures:
        (folder / "figures" / f"{figure}.svg").write_text(f"{figure} {value}", encoding="utf-8")
        (folder / "figures" / f"{figure}.csv").write_text(f"y\n{value}\n", encoding="utf-8")
    rows = [{"notebook": name, "figure": f"{figure}.svg", "value": value} for figure in figures]
    (folder / "figures.json").write_text(json.dumps(rows), encoding="utf-8")
    measured = {"id": f"{name}-claim", "notebook": name, "per_seed": [value] * 3, "figure": None, "note": ""}
    (folder / "ledger.json").write_text(json.dumps([measured]), encoding="utf-8")
    return folder


@pytest.mark.parametrize("lasting", [False, True], ids=["one operation fails", "the disk stays full"])
def test_whatever_fails_while_publishing_every_committed_file_is_as_it_was(checkout, monkeypatch, tmp_path, lasting):
    root = checkout(good("01_good"), claims=claims("01_good"))
    (root / "README.md").write_text("<!-- ledger:begin -->\n<!-- ledger:end -->\n", encoding="utf-8")
    notebook = profiles.load()["01_good"]

    def state():
        return committed(root) | {"README.md": (root / "README.md").read_bytes()}

    publish.finish(notebook, a_run(root, "01_good", 0, ["kept", "old"]), publish.Origin("a"), published=True)
    shutil.copytree(root, tmp_path / "first")
    before, outcomes, number = state(), [], 0
    while not outcomes or DISK["count"] >= number:  # until there is no such operation left
        number += 1
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "first", root)
        shutil.rmtree(root / "runs")
        folder = a_run(root, "01_good", 5, ["kept", "new"])
        DISK["count"] = 0
        monkeypatch.setitem(
            DISK,
            "fails",
            lambda count, event, first=number: count >= first and event == "open" if lasting else count == first,
        )
        try:
            publish.finish(notebook, folder, publish.Origin("b"), published=True)
            outcomes.append({path: content for path, content in state().items() if not path.endswith(".tmp")})
            assert (folder / publish.STAMP).exists()
        except OSError:
            assert state() == before and not (folder / publish.STAMP).exists(), number
            outcomes.append(before)
        monkeypatch.undo()
        monkeypatch.setenv("SHAPEOFLOSS_ROOT", str(root))
    after = outcomes[-1]
    assert len(outcomes) > 15 and before in outcomes and all(outcome in (before, after) for outcome in outcomes)
    assert after.keys() - before.keys() == {"figures/01_good/new.svg", "figures/01_good/new.csv"}
    assert (
        before["README.md"] != after["README.md"]
        and before["data/ledger/laptop.json"] != after["data/ledger/laptop.json"]
    )
    assert not list(root.rglob("*.tmp"))


def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    for path, where in (("figures", "figures"), ("data/ledger", "data/ledger")):
        (root / path).write_text("a file where a folder belongs", encoding="utf-8")
        result = call(root, "figures")
        assert result.returncode == 2 and f"The folder {where} cannot be written" in result.stderr, result.stderr
        assert not (root / "runs/laptop").exists() and call(root, "list").returncode == 0
        (root / path).unlink()
    (root / "runs").write_text("a file where a folder belongs", encoding="utf-8")
    result = call(root, "figures", "--profile", "smoke")
    assert result.returncode == 1 and "It cannot start: [Errno 20] Not a directory" in result.stdout, result.stdout
    assert "Traceback" not in result.stderr


def test_a_runtime_folder_is_swept_when_nobody_holds_it_whatever_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held, left, foreign = (tmp_path / name for name in ("sol-999999999-a", f"sol-{os.getpid()}-b", "sol-music-c"))
    for folder in (held, left, foreign):
        folder.mkdir()
    guard = os.open(held, os.O_RDONLY)
    fcntl.flock(guard, fcntl.LOCK_EX)  # as a runner in another container does, with a number that means nothing here
    process.end_all_of(tmp_path / "nothing")
    assert held.exists() and foreign.exists() and not left.exists()
    os.close(guard)
    process.end_all_of(tmp_path / "nothing")
    assert not held.exists()


def test_a_temporary_folder_too_long_for_sockets_gives_way_to_a_usual_one(checkout, tmp_path):
    long = tmp_path / "a_folder_of_a_cluster" / ("x" * 100)
    long.mkdir(parents=True)
    body = (
        "# %%\nfrom multiprocessing.connection import Listener\n"
        "with Listener(family='AF_UNIX'):\n    print('listens')\n"
        "# %%\nimport matplotlib\nprint(matplotlib.get_configdir())\n"
    )
    root = checkout({"01_small": body})
    result = call(root, "figures", "--profile", "smoke", TMPDIR=str(long), HOME="/dev/null/nowhere", MPLCONFIGDIR="")
    assert result.returncode == 0, result.stdout
    printed = (root / "runs/smoke/01_small/01_small.ipynb").read_text(encoding="utf-8")
    assert "listens" in printed and "./runs/matplotlib" in printed and str(long) not in printed


HEAVY = {"nbformat", "jupytext", "papermill", "jupyter_client", "torch", "rfc3987_syntax", "IPython", "matplotlib"}
LOADED = """
import sys
from shapeofloss.runner.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sorted(name for name in sys.modules if sys.modules[name]))
"""


@pytest.mark.parametrize(
    "arguments", ["ledger --help", "ledger", "list", "compare smoke smoke", "figures", "figures no"]
)
def test_a_command_loads_nothing_of_jupyter_that_it_can_do_without(checkout, arguments):
    root = checkout()
    if arguments == "figures":
        call(root, "figures")  # so that the next one is up to date
    command = [sys.executable, "-c", LOADED, *arguments.split()]
    said = subprocess.run(command, env=environment(root), capture_output=True, text=True, check=True).stdout
    assert HEAVY & set(said.splitlines()[-1].split()) == set()


def test_notebooks_are_validated_without_the_grammar_of_addresses():
    code = (
        "import shapeofloss.runner, nbformat, sys\nfrom shapeofloss.runner import execute, prints\n"
        "assert sys.modules['rfc3987_syntax'] is None and 'rfc3987_syntax.syntax_helpers' not in sys.modules\n"
        "notebook = nbformat.v4.new_notebook()\nnbformat.validate(notebook)\nnotebook.metadata = 3\n"
        "try:\n    nbformat.validate(notebook)\n"
        "except nbformat.ValidationError:\n    print('refused')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "refused\n"


SCRIPTS = {
    "no UTF-8": (b"# \xff\n", "is not UTF-8 text: invalid start byte at 2"),
    "a null character": (b"x = 1\0\n", "is not valid Python"),
    "too many brackets": (b"x = " + b"(" * 5000 + b"1" + b")" * 5000 + b"\n", "is not valid Python"),
    "too many signs": (b"x = " + b"-" * 50_000 + b"1\n", "is not valid Python"),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_a_script_that_cannot_be_read_is_named_and_the_others_are_listed(checkout, case):
    content, words = SCRIPTS[case]
    root = checkout({"01_small": "# %%\n1 + 1\n", "02_odd": "", "03_small": "# %%\n2 + 2\n"})
    (root / "notebooks/02_odd.py").write_bytes(content)
    lines = report.catalogue(profiles.load(), schedule.Settings("laptop", 1, {})).splitlines()
    assert f"cannot run: notebooks/02_odd.py {words}" in lines[2] and len(lines) == 4
    assert all(line.endswith("to be run") for line in (lines[1], lines[3]))
    with pytest.raises(UserError, match=words):
        inputs.inputs_hash(profiles.load()["02_odd"], "laptop", {})


HEADERS = {
    "YAML": "# ---\n# jupyter:\n#   a: [\n# ---\n\n# %%\n1\n",
    "a tag": "# ---\n# jupyter:\n#   - !!python/x y\n# ---\n\n# %%\n1\n",
    "a date": "# ---\n# jupyter:\n#   x: 2026-99-99\n# ---\n\n# %%\n1\n",
    "deep": "# ---\n# jupyter:\n#   x: " + "[" * 5000 + "\n# ---\n\n# %%\n1\n",
    "a number for a table": "# ---\n# jupyter:\n#   jupytext: 3\n# ---\n\n# %%\n1\n",
    "a number for tags": "# %% tags=3\n1\n",
    "no UTF-8": "# \udcff\n",
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_cannot_be_read_is_a_sentence(checkout, header):
    root = checkout()
    (root / "notebooks/01_small.py").write_bytes(HEADERS[header].encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"notebooks/01_small.py (cannot be read as a notebook: .+|is not UTF-8 text)"):
        inputs.read_script(profiles.load()["01_small"])


LISTS = 'sizes = [1, 2]\nrates = [0.1, 1.0]\npairs = [(1, "a")]\ntable = {"a": 1}\nname = "x"\nempty = []\n'


@pytest.mark.parametrize("text", ["sizes=[3]", "sizes=[]", "rates=[1, 2.5]", "table={'b': 2}", "empty=['x']", "name=y"])
def test_an_override_like_the_parameters_own_value_is_accepted(checkout, text):
    root = checkout()
    (root / "notebooks/01_small.py").write_text(f'# %% tags=["parameters"]\n{LISTS}', encoding="utf-8")
    inputs.check_overrides(profiles.load()["01_small"], dict([inputs.parse_override(text)]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sizes=['3']", r"is a list of int such as \[1, 2\], not \['3'\]"),
        ("sizes=[1.5]", "list of int"),
        ("sizes=[True]", "list of int"),
        ("sizes=[[1]]", "list of int"),
        ("sizes=(1,)", "list of int"),
        ("rates=['x']", "list of float"),
        ("pairs=[(1, 2, 'a'), 3]", "list of tuple"),
        ("table={'b': 'x'}", "is a dict"),
        ("sizes=" + "-" * 5000 + "1", "nested too deeply|list of int"),
        ("sizes=" + "[" * 5000 + "]" * 5000, "nested too deeply|list of int"),
        ("sizes={[]: 1}", "list of int"),
        ("name=\udcff", "is a str"),
        ("size" + "s" * 5000, r"s\.\.\.' is no parameter"),
    ],
    ids=range(13),
)
def test_an_override_of_another_kind_is_refused_in_a_short_sentence(checkout, text, words):
    root = checkout()
    (root / "notebooks/01_small.py").write_text(f'# %% tags=["parameters"]\n{LISTS}', encoding="utf-8")
    with pytest.raises(UserError, match=words) as told:
        inputs.check_overrides(profiles.load()["01_small"], dict([inputs.parse_override(text)]))
    assert len(str(told.value)) < 500


def test_sources_differ_wherever_the_inputs_may(checkout):
    root = checkout(claims={"01_small": ""})
    notebook = profiles.load()["01_small"]
    asked = [("laptop", {}), ("smoke", {}), ("laptop", {"seed": 1}), ("laptop", {"seed": 2})]
    found = [inputs.sources(notebook, *one) for one in asked]
    for name in ("pins.txt", "data/claims/01_small.toml", "notebooks/profiles.toml", "notebooks/01_small.py"):
        (root / name).write_text((root / name).read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        found.append(inputs.sources(notebook, "laptop", {}))
    assert len(set(found)) == 8 and inputs.sources(notebook, "laptop", {}) == found[-1]


def test_a_second_cell_of_parameters_is_refused_before_anything_runs(checkout):
    root = checkout({"01_small": '# %% tags=["parameters"]\nsize = 1000\n'})
    result = call(root, "figures", "-p", "seed=7")
    assert result.returncode == 2 and "01_small has 2 cells tagged parameters: join them into one" in result.stderr


def test_what_a_killed_run_left_running_cannot_write_into_the_next_one(checkout):
    stray = (
        "# %%\nimport os, subprocess, sys\n"
        "code = 'import time; time.sleep(300)'\n"
        "subprocess.Popen([sys.executable, '-c', code], start_new_session=True)\n"
        "import time\ntime.sleep(2)\n"
    )
    root = checkout({"01_small": stray})
    run = start(root)
    while not (strays := [p for p in processes_in(root) if p.cmdline()[-1:] == ["import time; time.sleep(300)"]]):
        time.sleep(0.05)
        assert run.poll() is None
    run.kill()
    run.communicate()
    assert strays[0].is_running()
    (root / "runs/laptop/01_small/partial.ipynb").unlink()
    again = start(root)
    while not (root / "runs/laptop/01_small/partial.ipynb").exists():
        time.sleep(0.05)
    ended = not strays[0].is_running() or strays[0].status() == psutil.STATUS_ZOMBIE
    assert ended and again.poll() is None  # before the next one writes
    assert "done" in again.communicate()[0] and again.returncode == 0
    assert gone(root)


def test_a_child_that_hides_its_origin_ends_with_its_notebook(checkout):
    mark = str(300 + os.getpid() / 1e6)
    hidden = f"subprocess.Popen(['sleep', '{mark}'], env={{}}, start_new_session=True)"
    root = checkout({"01_small": f"# %%\nimport subprocess, time\n{hidden}\ntime.sleep(1.5)\n"})
    assert call(root, "figures").returncode == 0
    left = [p for p in psutil.process_iter(["cmdline", "status"]) if p.info["cmdline"] == ["sleep", mark]]
    assert all(process.info["status"] == psutil.STATUS_ZOMBIE for process in left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_kernel_and_publishes_nothing(checkout, number):
    root = checkout({"01_hangs": "# %%\nimport time\ntime.sleep(300)\n"})
    run = start(root)
    while not (root / "runs/laptop/01_hangs/partial.ipynb").exists():
        time.sleep(0.05)
    run.send_signal(number)
    output, _ = run.communicate(timeout=20)
    assert run.returncode == 130 and "interrupted" in output and "Traceback" not in output
    assert gone(root), processes_in(root)
    assert set(committed(root)) <= {"figures/index.json", "data/ledger/laptop.json"}


def test_two_runs_at_once_in_one_checkout_end_well(checkout):
    names = ("01_good", "02_good", "03_good")
    root = checkout(good(*names), claims=claims(*names))
    pair = [start(root), start(root)]
    outputs = [run.communicate(timeout=120)[0] for run in pair]
    assert [run.returncode for run in pair] == [0, 0], outputs
    assert sum(output.count(": done after") for output in outputs) == 3  # each notebook ran once
    assert len(read_json(root / "figures/index.json")) == 3
    assert {r["verdict"] for r in read_json(root / "data/ledger/laptop.json")} == {"reproduced"}


def test_what_a_notebook_needs_is_asked_before_anything_starts(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"), more='needs = ["data:missing.csv"]\n')
    result = call(root, "figures")
    assert result.returncode == 1 and "refused" in result.stdout and "data/missing.csv" in result.stdout
    assert not (root / "runs/laptop/01_good").exists()
    (root / "data/missing.csv").write_text("", encoding="utf-8")
    assert call(root, "figures").returncode == 0


def test_a_notebook_without_compiler_is_refused_in_one_sentence(checkout, monkeypatch):
    root = checkout(more='needs = ["compiler"]\n')
    for compiler, words in (("no-such-compiler", "needs a C++ compiler"), ("false", "needs the headers of Python")):
        result = call(root, "figures", CXX=compiler)
        assert result.returncode == 1 and words in result.stdout, result.stdout


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["01_god"], "no notebook '01_god'. Did you mean '01_good'?"),
        (["--profile", "labtop"], "no profile 'labtop'. Did you mean 'laptop'?"),
        (["-p", "sed=1"], "no parameter of 01_good 'sed'. Did you mean 'seed'?"),
        (["-p", "seed"], "Write -p name=value"),
        (["-p", "seed=abc"], "Parameter seed of 01_good is a int such as 0, not 'abc'"),
        (["-p", "seed=[1, 2]"], "is a int such as 0, not [1, 2]"),
        (["-p", "seed=True"], "is a int such as 0, not True"),
        (["-p", "seed={1, 2}"], "is a int such as 0, not {1, 2}"),
        (["--limit", "0"], "give a number of seconds above 0"),
        (["--jobs", "0"], "give a number from 1"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_valid_one(checkout, arguments, answer):
    root = checkout(good("01_good"))
    result = call(root, "figures", *arguments)
    assert result.returncode == 2 and answer in result.stderr and "Traceback" not in result.stderr
    assert not (root / "runs/laptop").exists()


def test_the_environments_own_python_runs_whatever_kernels_the_user_has(checkout, tmp_path):
    spec = tmp_path / "home/share/jupyter/kernels/python3"
    spec.mkdir(parents=True)
    wrong = {"argv": ["/bin/false", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(wrong), encoding="utf-8")
    root = checkout({"01_small": "# %%\nimport sys\nprint(sys.executable)\n"})
    result = call(
        root,
        "figures",
        "--profile",
        "smoke",
        JUPYTER_DATA_DIR=str(tmp_path / "home/share/jupyter"),
        JUPYTER_PREFER_ENV_PATH="0",
    )
    assert result.returncode == 0, result.stdout
    assert sys.executable in (root / "runs/smoke/01_small/01_small.ipynb").read_text(encoding="utf-8")


def test_the_paper_profile_says_what_it_will_cost_before_it_starts(checkout):
    root = checkout(more="")
    catalogue = root / "notebooks/profiles.toml"
    text = catalogue.read_text(encoding="utf-8").replace("paper = 0.1 }", "paper = 90 }")
    catalogue.write_text(text.replace("gigabytes = 0.0", "gigabytes = 3.5"), encoding="utf-8")
    assert call(root, "figures", "--profile", "paper").stdout.startswith(
        "The paper profile needs about 1.5 hours and 3.5 GB"
    )


def test_one_broken_script_or_target_does_not_stop_the_others(checkout):
    names = ("01_good", "02_good", "03_good")
    root = checkout(good(*names), claims=claims(*names))
    (root / "notebooks/02_good.py").write_text("def broken(:\n", encoding="utf-8")
    (root / "figures").mkdir()
    (root / "figures/03_good").write_text("a file where a folder belongs", encoding="utf-8")
    result = call(root, "figures")
    assert result.returncode == 1 and "Traceback" not in result.stdout + result.stderr
    assert "02_good.py is not valid Python: line 1" in result.stdout
    assert "figures/03_good cannot be written (Not a directory)" in result.stdout
    assert not (root / "runs/laptop/03_good").exists() and (root / "figures/01_good/line.svg").exists()
    assert "cannot run: notebooks/02_good.py is not valid Python" in call(root, "list").stdout


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"inputs": 1}'])
def test_a_damaged_stamp_means_run_again(checkout, content):
    root = checkout()
    assert call(root, "figures", "--profile", "smoke").returncode == 0
    (root / "runs/smoke/01_small/stamp.json").write_text(content, encoding="utf-8")
    assert "changed" in call(root, "list", "--profile", "smoke").stdout
    assert " done " in call(root, "figures", "--profile", "smoke").stdout


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("figures/index.json", '[{"x": 1}]', "index.json does not hold rows"),
        ("data/ledger/laptop.json", "[{", "laptop.json is not valid JSON"),
        ("data/claims/01_good.toml", "[[", "data/claims/01_good.toml is not valid TOML"),
        ("notebooks/profiles.toml", "a = 1", "entry a: it is no table"),
    ],
)
def test_a_damaged_committed_file_is_named_before_anything_runs(checkout, path, content, words):
    root = checkout()
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content, encoding="utf-8")
    result = call(root, "figures")
    assert words in result.stderr + result.stdout and "Traceback" not in result.stderr
    assert not (root / "notebooks/01_small.ipynb").exists() and (root / path).read_text(encoding="utf-8") == content


def test_a_readers_own_settings_do_not_reach_a_notebook(checkout, tmp_path):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "own.py").write_text("own = 1\n", encoding="utf-8")
    root = checkout({"01_small": "# %%\nimport os\nprint('own' in globals(), os.environ['SHAPEOFLOSS_DATA'][:1])\n"})
    call(root, "figures", IPYTHONDIR=str(tmp_path / "ipython"), SHAPEOFLOSS_DATA="relative")
    executed = nbformat.read(root / "notebooks/01_small.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "False /\n"


def test_two_runs_are_compared_by_value(checkout):
    root = checkout(good("01_good"), claims=claims("01_good"))
    call(root, "figures", "--profile", "smoke")
    assert call(root, "compare", "smoke", str(root / "runs/smoke")).stdout == "The two runs agree.\n"
    call(root, "figures")
    script = root / "notebooks/01_good.py"
    text = script.read_text(encoding="utf-8").replace('"y": [1, 2, 3]', '"y": [1, 2, 4]')
    script.write_text(text.replace("0.5, 0.5, seed", "5, 5, seed"), encoding="utf-8")
    call(root, "figures", "-p", "seed=0")
    result = call(root, "compare", str(root), "laptop-overridden")
    assert result.returncode == 1
    assert "figure 01_good/line, y: differs by up to 1, 0.33 of the largest value" in result.stdout
    assert "claim 01_good-claim: reproduced against not reproduced" in result.stdout
    assert "holds no finished run" in call(root, "compare", "paper", "smoke").stderr


def test_progress_of_a_map_reaches_the_user_and_not_the_print(checkout, monkeypatch, capsys):
    loop = "for n in range(4):\n    print(f'word\\r\\033[K{n} of 4 nets\\rmore', file=sys.stderr, flush=True)\n"
    body = "# %%\nimport sys, time\n" + loop
    root = checkout({"01_small": body + "    time.sleep(0.3)\nprint('end')\n"})
    monkeypatch.setattr(report.Progress, "EVERY", 0.0)
    settings = schedule.Settings("laptop", 1, {})
    (outcome,) = schedule.run(list(profiles.load().values()), settings, report.Progress("laptop"))
    said = capsys.readouterr().out
    assert outcome.status == "done" and "01_small: cell 3 of 3, 0:0" in said and ", 2 of 4 nets\n" in said
    executed = nbformat.read(root / "notebooks/01_small.ipynb", as_version=4)
    assert [output.text for output in executed.cells[-1].outputs] == ["wordmore\n" * 4, "end\n"]
