"""Seeing inside: one picture's way through a network, from its first kernel's products to what shortcuts are worth.

Everything is computed from the network as it is in use, and nothing changes it.
"""

from sightline.scratch.seeing.exploration import Exploration, explore, plain

__all__ = ["Exploration", "explore", "plain"]
