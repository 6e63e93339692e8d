"""Model folders of other programs."""
