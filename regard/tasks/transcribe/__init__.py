"""What is said, symbol by symbol (N→M, in order)."""
