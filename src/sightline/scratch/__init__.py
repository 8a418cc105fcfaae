"""Convolutional networks in NumPy and SciPy alone, forward and backward: the course's chapter, as fast as it goes."""
