"""Experiments of the notebook 302_what_transport_is."""
