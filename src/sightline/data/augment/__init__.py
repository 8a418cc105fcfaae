"""Augment: distortions of a training batch, seeded, on the batch and on whatever device it is.

A distortion is a class with its ranges (`distortion`), in one of four files: what moves (`movements`), what changes
values (`changes`), RandAugment, and what mixes pictures and labels (`mixing`). A list of them is a preset or a YAML
file (`presets`), and a function of batches (`pipeline`).
"""

from sightline.data.augment.distortion import Change as Change
from sightline.data.augment.distortion import Distortion as Distortion
from sightline.data.augment.distortion import Mixing as Mixing
from sightline.data.augment.distortion import Movement as Movement
from sightline.data.augment.movements import Mirror as Mirror
from sightline.data.augment.pipeline import Augment as Augment
from sightline.data.augment.presets import DISTORTIONS as DISTORTIONS
from sightline.data.augment.presets import PRESETS as PRESETS
from sightline.data.augment.presets import Distortions as Distortions
from sightline.data.augment.presets import in_full as in_full
from sightline.data.augment.presets import read as read
from sightline.data.augment.presets import reads_mirrored as reads_mirrored
from sightline.data.augment.presets import suited as suited
from sightline.data.augment.presets import written as written
