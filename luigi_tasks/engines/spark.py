"""Blocks on a Spark cluster; alone imports pyspark. Each block is a partition of its own, so Spark may do it anywhere, again, or twice."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext

from luigi_tasks.engines.request import BlockOutcome

logger = logging.getLogger(__name__)

Function = Callable[[int], BlockOutcome]


@contextmanager
def spark_context(name: str) -> Iterator[SparkContext]:
    """Give the context that spark-submit describes."""
    context = SparkContext.getOrCreate()
    context.setJobDescription(name)
    try:
        yield context
    finally:
        context.stop()


def map_blocks(context: SparkContext, function: Function, blocks: Sequence[int]) -> list[BlockOutcome]:
    """Return what became of each block, in their order.

    A function that raises or returns is done; one that ends its process again and again makes Spark give up the whole job. Then each block
    is a job of its own, so that the one that kills fails alone; blocks that were committed before are found so.
    """
    if not blocks:
        return []
    try:
        return list(context.parallelize(blocks, len(blocks)).map(partial(_do, function)).collect())
    except Py4JJavaError as error:
        logger.warning("Spark gave the job up, each block becomes a job of its own: %s", _reason(error))
    with ThreadPoolExecutor(2 * context.defaultParallelism) as pool:
        return list(pool.map(partial(_alone, context, function), blocks))


def _do(function: Function, block: int) -> BlockOutcome:
    """Do a block in a process of an executor."""
    outcome = function(block)
    _settle()
    return outcome


@cache
def _settle() -> None:
    """Leave what a process has loaded for good out of collections of garbage: Spark has a whole one after each block, which takes 0.1 s."""
    gc.collect()
    gc.freeze()


def _alone(context: SparkContext, function: Function, block: int) -> BlockOutcome:
    """Return what became of one block that is a job of its own."""
    try:
        return list(context.parallelize([block], 1).map(partial(_do, function)).collect()).pop()
    except Py4JJavaError as error:
        return BlockOutcome(block, f"Spark gave it up: {_reason(error)}")


def _reason(error: Py4JJavaError) -> str:
    """Return the first line of what Java says."""
    return str(error.java_exception.getMessage()).splitlines()[0]
