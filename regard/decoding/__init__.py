"""Writing sequences with a model that says how likely each next id is."""
