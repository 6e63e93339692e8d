"""Guessing what is hidden: learning from raw sequences."""
