"""Sightline: a folder of pictures to a trained, compared, explained, searchable and served convolutional network."""
