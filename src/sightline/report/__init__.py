"""Pages one would send to a colleague: plain documents and thumbnails in, one self-contained HTML file out.

Nothing is measured here. A page needs no network, no server and no file beside it; charts also lie next to it as PNG.
"""
