"""A key covers whatever can change a result: functions are traced while real tasks run, and changed one by one."""

import ast
import random
import sys
from functools import cache
from pathlib import Path

import pytest

from shapeofloss.adversarial.toy_runs import toy_run
from shapeofloss.datasets.shallow_water import snapshots
from shapeofloss.engine import hashing, reach
from shapeofloss.experiments.incompressible_particles.fluid import dam_break
from shapeofloss.landscape.minima import train_minima
from shapeofloss.signloss.train_models import train_waves

SRC = Path(reach.__file__).parents[1]
TASKS = {
    toy_run: {
        **{"distribution": "8 Gaussians", "method": "WGAN-GP", "strength": 0.1, "seed": 0, "rates": [1e-3, 1e-3]},
        "schedule": {"steps": 4, "critic_steps": 1, "warm_up": 1, "batch": 16, "cosine": True},
        **{"width": 8, "checkpoints": 2, "samples": 200},
    },
    train_minima: {
        **{"architecture": {"depth": 10, "width": 1, "base": 2}, "images": {"train": 16}, "epochs": 1, "batch": 8},
        "networks": [{"seed": 0, "weight_decay": 1e-3, "augment": True}],
        "learning_rate": 0.1,
    },
    train_waves: {
        **{"seed": 0, "points": 16, "network": {"hidden": 8, "latent": 2}, "examples": 2},
        "loss": {"squared": 1.0, "directional": 2.0, "sharpness": 4.0},
        "schedule": {"steps": 2, "batch": 4, "learning_rate": 1e-3},
    },
    dam_break: {"count": 12, "seed": 0, "frames": 2, "correction": "jump", "step": 0.01, "spring": 10.0},
    snapshots: {"seed": 0, "count": 1, "size": 8, "frames": 2, "every": 1, "step": 0.1},
}
NEUTRAL = [str(reach.file_of(name)).removesuffix("__init__.py").removesuffix(".py") for name in reach.NEUTRAL]


@cache
def functions():
    """Every function of the package that can change a number: its file, and where it begins as a frame sees it."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        if not str(path).startswith(tuple(NEUTRAL)) and path.parent.name != "runner":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    found.append((path, min([node.lineno, *(each.lineno for each in node.decorator_list)])))
    return found


def called(task, settings):
    """The places of all functions that run while a task does."""
    found = set()

    def note(frame, event, argument):
        if event == "call":
            found.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    sys.setprofile(note)
    try:
        task(**settings)
    finally:
        sys.setprofile(None)
    return {(path, line) for path, line in functions() if (str(path), line) in found}


def changed(path, line):
    """The source of a file with another statement at the end of one function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and line in (node.lineno, *(each.lineno for each in node.decorator_list)):
            node.body.append(ast.Pass())
    return ast.unparse(tree)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_a_change_of_any_function_that_takes_part_changes_the_key(task, monkeypatch):
    def key():
        return hashing.digest(reach.reached(reach.source_of(own), [task.__name__], name=task.__module__).code)

    own = reach.file_of(task.__module__)
    before, part, plain = key(), called(task, TASKS[task]), reach.source_of
    others = [place for place in functions() if place not in part]
    assert len(part) >= 8 and len(others) > 500
    untouched = 0
    for path, line in [*sorted(part), *random.Random(0).sample(others, 20)]:
        edited = {path: changed(path, line)}
        monkeypatch.setattr(reach, "source_of", lambda file, edited=edited: edited.get(file) or plain(file))
        after = key()
        monkeypatch.undo()
        assert after != before or (path, line) not in part, (path.name, line)
        untouched += after == before
    assert untouched > 10  # and what takes no part mostly leaves it alone
