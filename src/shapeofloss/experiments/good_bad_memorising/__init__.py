"""What notebook 104 alone computes."""
