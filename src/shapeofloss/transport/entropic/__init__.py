"""Transport with blur: soft minima, Sinkhorn's algorithm, transforms on grids."""
