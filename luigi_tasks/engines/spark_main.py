"""The application that spark-submit starts: it does the blocks of a request and stores what became of each. It knows no state.

    spark-submit [options] spark_launch.py OBJECTS_ROOT REQUEST_KEY [section.name=value ...]

The settings are those that reading the request takes, such as objects.endpoint_url=http://127.0.0.1:8333.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from luigi_tasks.engines.request import BlocksRequest, apply_settings, do_block, outcomes_key
from luigi_tasks.engines.spark import map_blocks, spark_context
from luigi_tasks.objects import open_objects


def main(arguments: Sequence[str]) -> None:
    """Do the blocks of a request."""
    root, key, *settings = arguments
    for setting in settings:
        place, _, value = setting.partition("=")
        section, _, name = place.partition(".")
        apply_settings({section: {name: value}})
    objects = open_objects(root)
    request = BlocksRequest.from_json(objects.read(key))
    with spark_context(f"{request.word} {request.digest}") as context:
        outcomes = map_blocks(context, partial(do_block, request), request.blocks)
    objects.put(outcomes_key(key), json.dumps([asdict(outcome) for outcome in outcomes], indent=1).encode())
