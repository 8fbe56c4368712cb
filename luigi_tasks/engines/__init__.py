"""Where blocks are worked on: by Luigi's own workers (local), or by the executors of a Spark cluster. Both give the same bytes."""
