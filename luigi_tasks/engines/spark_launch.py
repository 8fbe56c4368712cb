"""The file that spark-submit is given; it runs the application from the environment it finds."""

import sys

if __name__ == "__main__":
    from luigi_tasks.engines.spark_main import main

    main(sys.argv[1:])
