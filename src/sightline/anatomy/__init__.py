"""What a network costs, counted from its shapes."""
