"""Optimal transport, from sorting to multiscale solvers.

What is taught is written out here: the auction, Sinkhorn's algorithm, eps-scaling, transforms on grids. Everything
else is KeOps, GeomLoss, POT and SciPy. Costs carry the talk's factor, C(x, y) = |x - y|^p / p, and values are per unit
of mass.
"""

import os

os.environ.setdefault("KEOPS_VERBOSE", "0")  # POT and GeomLoss load KeOps, which would tell that it sees no GPU
