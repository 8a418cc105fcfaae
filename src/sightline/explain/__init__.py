"""Explaining: where in a picture a network saw what it says."""
