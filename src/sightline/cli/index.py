"""`sightline index`: the embeddings of a dataset's pictures, ready to be searched."""

from __future__ import annotations

from typing import Annotated

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import Data, Json, Out


def command(
    data: Data,
    run: Annotated[str, typer.Option(metavar="RUN", help="The run, or bundle, whose network embeds the pictures.")],
    out: Out = None,
    json: Json = False,
) -> None:
    """Embed every usable picture of DATA and keep the vectors for search, in indexes/DATA."""
    from sightline import api

    index = api.index(data, run, out, progress=Bars())
    document = {"kind": "index", "path": str(index.path), **index.document}
    if json:
        print_json(document)
        return
    measured = document["measured"]
    rows = [
        ["pictures", f"{document['count']:,}"],
        ["dimensions", f"{document['dim']:,}"],
        ["method", f"{document['backend']['name']} search, recall {measured['recall']:.3f}"],
        ["a query", f"{measured['latency_us_median']:,.0f} us in the median"],
    ]
    print_table(f"Index {document['name']}", ["figure", "value"], rows, left=2)
    print_line(f"index  {index.path}")
