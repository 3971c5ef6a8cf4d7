"""Exact transport: linear programs, assignment problems, the auction."""
