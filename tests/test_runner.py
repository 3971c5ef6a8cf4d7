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
from shapeofloss.files import read_json
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
        "06_exits": "# %%\nimport sys\nsys.exit()\n\n# %%\nraise ValueError('never reached')\n",
    }
    root = checkout(bodies, claims=claim("01_good"))
    result = call(root, "figures", "--limit", "40", "--jobs", "6")
    assert result.returncode == 1, result.stdout + result.stderr
    words = {
        line.split()[0]: line.split() for line in result.stdout.splitlines() if line[:2].isdigit() and ":" not in line
    }
    assert words["01_good"][1] == "done" and float(words["01_good"][-1]) > 50
    assert words["02_fails"][1] == "failed" and words["03_hangs"][1:3] == ["timed", "out"]
    assert words["04_floods"][1] == "failed" and words["05_killed"][1] in ("failed", "killed")
    assert words["06_exits"][1] == "failed" and "ended itself" in result.stdout
    for text in ("In cell 4 of 4", "ValueError: the reason", "runs/laptop/02_fails/partial.ipynb", "No end after 40 s"):
        assert text in result.stdout
    assert "exceed 20,000,000 characters" in result.stdout and "died" in result.stdout.lower()
    assert "before" in (root / "runs/laptop/02_fails/partial.ipynb").read_text(encoding="utf-8")
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
    image.write_text("damaged", encoding="utf-8")
    assert " done " in call(root, "figures").stdout and committed(root) == before
    pins = root / "pins.txt"
    pins.write_text("numpy==0\n", encoding="utf-8")
    assert "changed" in call(root, "list").stdout
    pins.write_text("", encoding="utf-8")
    ledger = root / "data/ledger/laptop.json"
    ledger.write_text("[]\n", encoding="utf-8")
    assert " done " in call(root, "figures").stdout and committed(root) == before


def test_the_print_is_normalised_and_in_step_with_its_script(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"))
    call(root, "figures")
    text = (root / "notebooks/01_good.ipynb").read_text(encoding="utf-8")
    executed = nbformat.reads(text, as_version=4)
    assert [cell.id for cell in executed.cells] == [f"cell-{n:03d}" for n in range(len(executed.cells))]
    assert str(root) not in text and "papermill" not in text and "iopub" not in text
    picture = executed.cells[3].outputs[0]
    assert picture.metadata["image/svg+xml"]["alt"].startswith("A line") and "<svg" in picture.data["image/svg+xml"]
    (entry,) = read_json(root / "figures/index.json")
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


IN_PUBLISHING = """
import os, signal
from shapeofloss import files
from shapeofloss.runner import publish
write = files.write_atomically
def disturbed(path, content):
    if path.name == "index.json":
        files.write_atomically = publish.write_atomically = write  # once
        {disturbance}
    write(path, content)
files.write_atomically = disturbed
from shapeofloss.cli import main
raise SystemExit(main(["figures"]))
"""
KILL = "(path.parent / '.index.json.abc.tmp').touch(); os.kill(os.getpid(), signal.SIGKILL)"
TERMINATE = "os.kill(os.getpid(), signal.SIGTERM)"


def test_a_run_killed_while_publishing_is_completed_by_the_next_one(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"))
    driver = [sys.executable, "-c", IN_PUBLISHING.format(disturbance=KILL)]
    assert subprocess.run(driver, env=environment(root), capture_output=True).returncode == -signal.SIGKILL
    assert (root / "figures/.index.json.abc.tmp").exists() and not (root / "figures/index.json").exists()
    assert " done " in call(root, "figures").stdout
    assert not list(root.rglob("*.tmp")) and len(read_json(root / "figures/index.json")) == 1


def test_an_interrupt_while_publishing_waits_until_results_are_in_their_places(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"))
    driver = [sys.executable, "-c", IN_PUBLISHING.format(disturbance=TERMINATE)]
    assert subprocess.run(driver, env=environment(root), capture_output=True).returncode == 130
    assert len(read_json(root / "figures/index.json")) == 1
    assert "Everything is up to date" in call(root, "figures").stdout


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
    root = checkout(good(*names), claims="".join(claim(name) for name in names))
    pair = [start(root), start(root)]
    outputs = [run.communicate(timeout=120)[0] for run in pair]
    assert [run.returncode for run in pair] == [0, 0], outputs
    assert sum(output.count(": done after") for output in outputs) == 3  # each notebook ran once
    assert len(read_json(root / "figures/index.json")) == 3
    assert {r["verdict"] for r in read_json(root / "data/ledger/laptop.json")} == {"reproduced"}


def test_what_a_notebook_needs_is_asked_before_anything_starts(checkout):
    root = checkout(good("01_good"), claims=claim("01_good"), more='needs = ["data:missing.csv"]\n')
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
    root = checkout(good(*names), claims="".join(claim(name) for name in names))
    (root / "notebooks/02_good.py").write_text("def broken(:\n", encoding="utf-8")
    (root / "figures").mkdir()
    (root / "figures/03_good").write_text("a file where a folder belongs", encoding="utf-8")
    result = call(root, "figures")
    assert result.returncode == 1 and "Traceback" not in result.stdout + result.stderr
    assert "02_good.py is not valid Python: line 1" in result.stdout
    assert "Its results cannot be published" in result.stdout and (root / "figures/01_good/line.svg").exists()
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
        ("data/claims.toml", "[[", "data/claims.toml is no list"),
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
    root = checkout(good("01_good"), claims=claim("01_good"))
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
    (outcome,) = schedule.run(list(profiles.load().values()), settings, report.Progress())
    said = capsys.readouterr().out
    assert outcome.status == "done" and "01_small: cell 3 of 3, 0:0" in said and ", 2 of 4 nets\n" in said
    executed = nbformat.read(root / "notebooks/01_small.ipynb", as_version=4)
    assert [output.text for output in executed.cells[-1].outputs] == ["wordmore\n" * 4, "end\n"]
