"""What the service answers, as its OpenAPI description says it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """Why a request was not answered, and what to do."""

    error: str


class Model(Answer):
    """Which network answered: the file's SHA-256 says which exactly."""

    name: str
    version: str = Field(description="The first 12 digits of the graph's SHA-256.")


class Class(Answer):
    """A class and its probability."""

    name: str
    probability: float = Field(ge=0, le=1)


class Picture(Answer):
    """What one of the pictures sent is, or why it could not be read."""

    name: str
    classes: list[Class] | None = None
    error: str | None = None


class Predictions(Answer):
    """The pictures in the order they were sent."""

    model: Model
    predictions: list[Picture]
    ms: float = Field(description="From the request's first byte to this answer, milliseconds.")


class Explanation(Answer):
    """Where the class was seen: what each place adds to its logit; their mean and the bias are the logit."""

    model: Model
    name: str
    label: str = Field(alias="class")
    probability: float = Field(ge=0, le=1)
    heat: list[list[float]] = Field(description="Rows of places, from the top left.")
    box: list[float] = Field(
        description="Left, top, right, bottom of what the network saw, parts of the picture's sides."
    )
    ms: float


class Embedded(Answer):
    """The vector of one of the pictures sent, of unit length, or why it could not be read."""

    name: str
    embedding: list[float] | None = None
    error: str | None = None


class Embeddings(Answer):
    """The pictures in the order they were sent."""

    model: Model
    embeddings: list[Embedded]
    ms: float


class LookAlike(Answer):
    """A picture of the index; `picture` is its address here."""

    row: int
    name: str
    label: str = Field(alias="class")
    split: str
    distance: float
    picture: str


class Similar(Answer):
    """The nearest pictures of the index, nearest first, or why the one sent could not be read."""

    name: str
    neighbours: list[LookAlike] | None = None
    error: str | None = None


class LookAlikes(Answer):
    """The pictures in the order they were sent."""

    model: Model
    similar: list[Similar]
    ms: float


class Status(Answer):
    """How the service is."""

    status: str


class Card(BaseModel):
    """What the network is, what it was trained on and how well it did, and what the service takes."""

    model: Model
    arch: str
    classes: list[str]
    trained_on: dict[str, Any] | None
    metrics: dict[str, Any]
    figures: dict[str, Any]
    preprocess: dict[str, Any]
    limits: dict[str, Any]
    explains: bool
    index: dict[str, Any] | None
