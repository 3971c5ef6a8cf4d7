"""Data that ship with a library or come from a checked download, as arrays."""
