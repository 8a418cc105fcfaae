"""`python -m sightline.cli` is `sightline`."""

from sightline.cli import main

main()
