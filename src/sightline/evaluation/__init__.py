"""How good a network really is: its answers, what they measure, and how networks compare on the same pictures."""
