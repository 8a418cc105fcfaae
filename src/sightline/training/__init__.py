"""Training: a Dataset and a Recipe to a Run that ends in a verified Bundle."""

from sightline.training.recipe import Recipe as Recipe
from sightline.training.train import resume as resume
from sightline.training.train import train as train
