"""What the rest of the house does with networks in NumPy: train one to a Run, compare one with PyTorch."""
