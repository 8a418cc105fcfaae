"""From pictures wherever they lie to a checked, split Dataset, and from there to batches of pixels."""
