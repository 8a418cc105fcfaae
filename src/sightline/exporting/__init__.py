"""From a trained network to a Bundle."""
