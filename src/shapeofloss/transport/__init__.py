"""Optimal transport, from sorting to multiscale solvers.

What is taught is written out here: the auction, Sinkhorn's algorithm, eps-scaling, transforms on grids. Everything
else is KeOps, GeomLoss, POT and SciPy. Costs carry the talk's factor, C(x, y) = |x - y|^p / p, and values are per unit
of mass.
"""

from shapeofloss.engine import compiler

compiler.ready_keops()  # POT and GeomLoss load it, too
