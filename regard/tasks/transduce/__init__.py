"""A new sequence for a sequence (N→M)."""
