"""One label for every item of a sequence (N→N)."""
