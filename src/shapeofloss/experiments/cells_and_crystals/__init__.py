"""Experiments of the notebook 309_cells_and_crystals."""
