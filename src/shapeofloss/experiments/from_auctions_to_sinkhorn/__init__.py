"""Experiments of the notebook 303_from_auctions_to_sinkhorn."""
