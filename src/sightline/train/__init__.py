"""Training: a Dataset and a Recipe to a Run that ends in a verified Bundle."""

from sightline.train.recipe import Recipe as Recipe
from sightline.train.training import resume as resume
from sightline.train.training import train as train
