"""Matrices given by a formula (KeOps), which never lie in memory."""
