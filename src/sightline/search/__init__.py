"""Look-alikes: pictures to vectors, a search method measured on them, and the Index that keeps both on disk."""
