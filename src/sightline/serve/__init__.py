"""Serving: a Bundle behind an address, answering what was measured, and the page people look at it with."""
