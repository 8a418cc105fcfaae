"""Views: the parts of a picture that a network is shown at test time, to be averaged.

`1` is the central square and `2` its mirror image too; `5` are the centre and the four corners of a picture larger than
what the network takes, `10` their mirror images too (Krizhevsky et al. 2012, section 4.1: 224 pixels of 256). `dense`
is the whole of the larger picture, the network sliding over it (Simonyan and Zisserman 2014, section 3.2). Each may be
taken at several scales.

Small pictures are not scaled up for it, which blurs them, but get a border of their own mirrored pixels, an eighth of
the side as in training (`data.augment`): ten views take resnet20 from 91.0 to 93.2 % on 500 of CIFAR-10's test pictures
so, and to 85.0 % with scaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sightline.core.errors import UserError, closest, named
from sightline.data.preprocess import Preprocess

KINDS = ("1", "2", "5", "10", "dense")
LARGER = 256 / 224  # of a picture to its crops, where the preprocess keeps all of the picture
SMALL = 64  # pixels up to which pictures get a border instead
MOST = 144  # views a picture: as many as Szegedy et al. 2014 took, who call them more than needed (section 7)


@dataclass(frozen=True)
class View:
    """A square of `side` pixels, `top` and `left` its corner in a picture of `scale` x `scale`; mirrored once cut.

    The picture has a `border` of so many of its own pixels mirrored around it, and corners count from there.
    """

    scale: int
    top: int
    left: int
    side: int
    mirrored: bool = False
    border: int = 0


def check_views(kind: str, scales: Sequence[int]) -> None:
    """UserError for views that are unknown and scales that are no sizes of a picture, come twice or are too many."""
    if kind not in KINDS:
        raise UserError(f'unknown views "{named(kind)}"{closest(kind, KINDS)}: use {", ".join(KINDS)}')
    for scale in scales:
        if not 1 <= scale <= 4096:
            raise UserError(f"scale {scale} is out of range: a picture's shorter side is 1 to 4096 pixels")
        if list(scales).count(scale) > 1:
            raise UserError(f"scale {scale} is given twice: give each once")
    most = MOST // (1 if kind == "dense" else int(kind))
    if len(scales) > most:
        raise UserError(f"{len(scales)} scales are too many for {kind} views: give {most} at most")


def views_of(preprocess: Preprocess, kind: str, scales: Sequence[int] = ()) -> tuple[View, ...]:
    """What a network of that `preprocess` is shown, the centre of the first scale first, none of it twice.

    Without `scales` there is one: what the preprocess cuts its centre from; where it keeps all of a picture, the size
    itself, and for 5, 10 and dense views 8/7 of it, or the size with a border. UserErrors as `check_views`', and for
    scales that crops do not fit.
    """
    check_views(kind, scales)
    side = preprocess.size
    if kind in ("5", "10") and not scales and preprocess.crop_frac == 1 and 8 <= side <= SMALL:
        return tuple(_crops(side, side, kind, border=side // 8))
    scales = scales or (_own_scale(preprocess, kind),)
    if kind == "dense":
        return tuple(View(scale, 0, 0, scale) for scale in scales)
    for scale in scales:
        if scale < side:
            raise UserError(f"scale {scale} is too small: the network takes {side} pixels, which views are cut from")
    if kind in ("5", "10") and max(scales) == side:
        raise UserError(
            f"{kind} views of {side} pixels are all alike where the network takes {side}: give a larger scale"
        )
    return tuple(dict.fromkeys(view for scale in scales for view in _crops(scale, side, kind)))


def spoken(kind: str, scales: Sequence[int] = ()) -> str:
    """Such as "10 views at 224 and 256"; empty for the single view."""
    seen = {"1": "", "2": "mirrored", "dense": "dense"}.get(kind, f"{kind} views")
    at = " and ".join(filter(None, [", ".join(map(str, scales[:-1])), str(scales[-1])])) if scales else ""
    return " ".join(filter(None, [seen, f"at {at}" if at else ""]))


def shared_picture(
    preprocesses: Sequence[Preprocess], kind: str, scales: Sequence[int] = ()
) -> tuple[Preprocess, list[tuple[View, ...]]]:
    """The one picture to decode for networks with these preprocesses, and what of it each is shown.

    It is what the networks take, where that is the same for all and the centre is enough; otherwise the whole square
    (or squashed) picture at the largest scale. UserErrors as `views_of`'s, and where the networks' pictures cannot be
    made from one.
    """
    first = preprocesses[0]
    for other in preprocesses:
        if other.channels != first.channels:
            raise UserError("one network takes grey pictures and another colour: combine networks that take the same")
        if other.resize != first.resize:
            raise UserError(
                "one network takes the central square of a picture and another all of it, squashed: combine networks "
                "that take the same"
            )
    plans = [views_of(preprocess, kind, scales) for preprocess in preprocesses]
    if kind in ("1", "2") and not scales and len({preprocess.key() for preprocess in preprocesses}) == 1:
        whole = (View(first.size, 0, 0, first.size), View(first.size, 0, 0, first.size, mirrored=True))
        return first, [whole[: len(plan)] for plan in plans]
    largest = max(view.scale for plan in plans for view in plan)
    return replace(first, size=largest, crop_frac=1.0), plans


def _own_scale(preprocess: Preprocess, kind: str) -> int:
    if preprocess.crop_frac == 1 and kind in ("1", "2"):
        return preprocess.size
    return round(preprocess.size * (LARGER if preprocess.crop_frac == 1 else 1 / preprocess.crop_frac))


def _crops(scale: int, side: int, kind: str, border: int = 0) -> list[View]:
    """Centre, corners, and all of them mirrored, as far as `kind` has them."""
    end = scale + 2 * border - side
    centre = end // 2
    corners = [(0, 0), (0, end), (end, 0), (end, end)]
    places = [(centre, centre), *(corners if kind in ("5", "10") else [])]
    return [
        View(scale, top, left, side, mirrored, border)
        for mirrored in ([False, True] if kind in ("2", "10") else [False])
        for top, left in places
    ]
