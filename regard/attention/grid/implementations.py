"""The table of implementations of attention over images: one row each, of the shape that all have."""

from __future__ import annotations

from regard.attention.grid import blocked, native, reference
from regard.attention.grid.spec import GridSpec
from regard.attention.grid.weights import GridWeights
from regard.attention.implementations import Implementation

# From the plainest to the fastest: "auto" asks from the bottom up.
IMPLEMENTATIONS: dict[str, Implementation[GridSpec, GridWeights]] = {
    "reference": Implementation(reference.refusals, reference.attend, reference.weights),
    "blocked": Implementation(
        blocked.refusals, blocked.attend, blocked.weights, blocked.gradients, blocked.saved_shape
    ),
    "native": Implementation(native.refusals, native.attend, None, native.gradients, native.saved_shape),
}
