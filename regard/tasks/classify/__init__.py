"""One label for a whole sequence (N→1)."""
