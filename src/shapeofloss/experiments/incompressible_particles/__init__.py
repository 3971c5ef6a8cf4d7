"""Experiments of the notebook 308_incompressible_particles."""
