"""The runner on real notebooks that end well, fail, hang, flood and are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from conftest import CLAIM, EMPIRICAL, call, environment

from shapeofloss import profiles
from shapeofloss.runner import report, schedule

GOOD = """# %%
import matplotlib.pyplot as plt
from shapeofloss import figures, ledger, workspace
workspace.begin("{name}")

# %%
figure, axes = plt.subplots()
axes.plot([1, 2, 3])
figures.save(figure, "line", alt="A line that rises from one to three over three points.", data={{"y": [1, 2, 3]}})

# %%
print("seed", seed)
ledger.record("{name}-claim", [0.5, 0.5, seed])
"""


def claim(name):
    return CLAIM.format(id=f"{name}-claim", kind="number", notebook=name, rule=EMPIRICAL)


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
    for process in psutil.process_iter():
        try:
            if process.environ().get("SHAPEOFLOSS_ROOT") == str(root) and process.pid != os.getpid():
                found.append(process)
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
        "02_fails": "# %%\n1 + 1\n\n# %%\nprint('before')\nraise ValueError('the reason')\n",
        "03_hangs": "# %%\nimport subprocess\nsubprocess.Popen(['sleep', '300'])\nsubprocess.run(['sleep', '300'])\n",
        "04_floods": "# %%\nwhile True:\n    print('x' * 100_000)\n",
        "05_killed": "# %%\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    }
    root = checkout(bodies, claims=claim("01_good"))
    result = call(root, "figures", "--limit", "15", "--jobs", "5")
    assert result.returncode == 1, result.stdout + result.stderr
    words = {
        line.split()[0]: line.split() for line in result.stdout.splitlines() if line[:2].isdigit() and ":" not in line
    }
    assert words["01_good"][1] == "done" and float(words["01_good"][-1]) > 50
    assert words["02_fails"][1] == "failed" and words["03_hangs"][1:3] == ["timed", "out"]
    assert words["04_floods"][1] == "failed" and words["05_killed"][1] in ("failed", "killed")
    for text in ("In cell 4 of 4", "ValueError: the reason", "runs/laptop/02_fails/partial.ipynb", "No end after 15 s"):
        assert text in result.stdout
    assert "exceed 20,000,000 characters" in result.stdout and "died" in result.stdout.lower()
    assert "before" in (root / "runs/laptop/02_fails/partial.ipynb").read_text()
    assert {Path(name).parts[-1] for name in committed(root)} == {
        "index.json", "laptop.json", "line.svg", "line.csv", "01_good.ipynb",
    }  # fmt: skip
    assert gone(root), processes_in(root)


def test_the_second_run_is_up_to_date_until_something_that_counts_changes(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"))
    assert call(root, "figures").returncode == 0
    before = committed(root)
    again = call(root, "figures")
    assert again.returncode == 0 and "Everything is up to date" in again.stdout
    assert call(root, "list").stdout.splitlines()[1].split() == ["01_good", "none", "0.1", "-", "up", "to", "date"]
    assert call(root, "figures", "--force").returncode == 0 and committed(root) == before

    image = root / "figures/01_good/line.svg"
    image.write_text("damaged")
    assert " done " in call(root, "figures").stdout and committed(root) == before
    pins = root / "pins.txt"
    pins.write_text("numpy==0\n")
    assert "changed" in call(root, "list").stdout
    pins.write_text("")
    ledger = root / "data/ledger/laptop.json"
    ledger.write_text("[]\n")
    assert " done " in call(root, "figures").stdout and committed(root) == before


def test_the_print_is_normalised_and_in_step_with_its_script(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"))
    call(root, "figures")
    text = (root / "notebooks/01_good.ipynb").read_text()
    executed = nbformat.reads(text, as_version=4)
    assert [cell.id for cell in executed.cells] == [f"cell-{n:03d}" for n in range(len(executed.cells))]
    assert str(root) not in text and "papermill" not in text and "iopub" not in text
    picture = executed.cells[3].outputs[0]
    assert picture.metadata["image/svg+xml"]["alt"].startswith("A line") and "<svg" in picture.data["image/svg+xml"]
    (entry,) = json.loads((root / "figures/index.json").read_text())
    assert (
        entry["notebook"] == "01_good"
        and entry["seed"] == 0
        and entry["profile"] == "laptop"
        and len(entry["inputs"]) == 64
    )


def test_smoke_runs_overridden_runs_and_readers_never_touch_committed_results(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"))
    assert call(root, "figures", "--profile", "smoke").returncode == 0
    assert call(root, "figures", "-p", "seed=1").returncode == 0
    printed = (root / "runs/laptop-overridden/01_good/01_good.ipynb").read_text()
    assert "seed 1" in printed and "injected-parameters" in printed
    reader = "import os; os.chdir('notebooks'); seed = 0\n" + GOOD.format(name="01_good")
    variables = environment(root) | {"MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-c", reader], cwd=root, env=variables, check=True, capture_output=True)
    assert (root / "runs/interactive/01_good/figures/line.svg").is_file()
    assert committed(root) == {}


def test_a_killed_run_leaves_no_process_and_the_next_one_gives_the_same_bytes(checkout):
    slow = GOOD.format(name="02_slow") + "\n# %%\nimport time\ntime.sleep(2)\n"
    root = checkout({**good("01_good"), "02_slow": slow}, claims=claim("01_good") + claim("02_slow"))
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
    root = checkout(good(*names), claims="".join(claim(name) for name in names))
    pair = [start(root), start(root)]
    outputs = [run.communicate(timeout=120)[0] for run in pair]
    assert [run.returncode for run in pair] == [0, 0], outputs
    assert sum(output.count(": done after") for output in outputs) == 3  # each notebook ran once
    assert len(json.loads((root / "figures/index.json").read_text())) == 3
    assert {r["verdict"] for r in json.loads((root / "data/ledger/laptop.json").read_text())} == {"reproduced"}


def test_what_a_notebook_needs_is_asked_before_anything_starts(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"), more='needs = ["data:missing.csv"]\n')
    result = call(root, "figures")
    assert result.returncode == 1 and "refused" in result.stdout and "data/missing.csv" in result.stdout
    assert not (root / "runs/laptop/01_good").exists()
    (root / "data/missing.csv").write_text("")
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
    (spec / "kernel.json").write_text(json.dumps(wrong))
    root = checkout({"01_small": "# %%\nimport sys\nprint(sys.executable)\n"})
    result = call(root, "figures", "--profile", "smoke", JUPYTER_DATA_DIR=str(tmp_path / "home/share/jupyter"))
    assert result.returncode == 0, result.stdout
    assert sys.executable in (root / "runs/smoke/01_small/01_small.ipynb").read_text()


def test_the_paper_profile_says_what_it_will_cost_before_it_starts(checkout):
    root = checkout(more="")
    catalogue = root / "notebooks/profiles.toml"
    catalogue.write_text(
        catalogue.read_text().replace("paper = 0.1 }", "paper = 90 }").replace("gigabytes = 0.0", "gigabytes = 3.5")
    )
    assert call(root, "figures", "--profile", "paper").stdout.startswith(
        "The paper profile needs about 1.5 hours and 3.5 GB"
    )


def test_two_runs_are_compared_by_value(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"))
    call(root, "figures", "--profile", "smoke")
    assert call(root, "compare", "smoke", str(root / "runs/smoke")).stdout == "The two runs agree.\n"
    call(root, "figures")
    script = root / "notebooks/01_good.py"
    script.write_text(
        script.read_text().replace('"y": [1, 2, 3]', '"y": [1, 2, 4]').replace("0.5, 0.5, seed", "5, 5, seed")
    )
    call(root, "figures", "-p", "seed=0")
    result = call(root, "compare", str(root), "laptop-overridden")
    assert result.returncode == 1
    assert "figure 01_good/line, y: differs by up to 1, 0.33 of its largest value" in result.stdout
    assert "claim 01_good-claim: reproduced against not reproduced" in result.stdout
    assert "holds no finished run" in call(root, "compare", "paper", "smoke").stderr


def test_progress_of_a_map_reaches_the_user_and_not_the_print(checkout, monkeypatch, capsys):
    loop = "for n in range(4):\n    print(f'\\r{n} of 4 nets', end='', file=sys.stderr, flush=True)\n"
    body = "# %%\nimport sys, time\n" + loop
    root = checkout({"01_small": body + "    time.sleep(0.3)\nprint('end')\n"})
    monkeypatch.setattr(report.Progress, "EVERY", 0.0)
    settings = schedule.Settings("laptop", 1, {})
    (outcome,) = schedule.run(list(profiles.load().values()), settings, report.Progress())
    said = capsys.readouterr().out
    assert outcome.status == "done" and "01_small: cell 3 of 3, 0:0" in said and ", 2 of 4 nets\n" in said
    executed = nbformat.read(root / "notebooks/01_small.ipynb", as_version=4)
    assert [output.text for output in executed.cells[-1].outputs] == ["end\n"]
