"""Look-alikes: pictures to unit vectors, an exact search over them, and the Index that keeps both on disk."""
