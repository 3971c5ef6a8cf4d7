"""Persistence diagrams of arrays on grids and of functions on graphs, and distances between diagrams."""
