"""What a notebook cannot run without, probed before anything starts."""

from functools import cache

from shapeofloss.engine import compiler, workspace


@cache
def missing(need: str) -> str:
    """Return one sentence on what to do about a need that is not met; empty if it is met.

    Args:
        need: `compiler`, `gpu`, or `data:<path below data/>`.
    """
    match need.split(":", 1):
        case ["compiler"]:
            return compiler.missing()
        case ["gpu"]:
            import torch

            return (
                "" if torch.cuda.is_available() else "It needs an NVIDIA GPU that PyTorch can see; there is none here."
            )
        case ["data", name]:
            if (workspace.data() / name).exists():
                return ""
            return f"It needs data/{name}, which is not there: see data/README.md for where it comes from."
        case _:
            return f"It declares the need '{need}', which is none of compiler, gpu, data:<path>."
