"""What every room stands on: errors, directories written whole, hashes, progress, and the machine's own figures."""
