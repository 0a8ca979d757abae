"""The verb `ingest` for spark-submit: spark-submit ... jobs/ingest.py --conf FILE [--follow]."""

import sys

if __name__ != "__main__":
    raise ImportError("jobs are started with spark-submit, not imported; the library is lakerec")

from lakerec.cli import main

main(["ingest", *sys.argv[1:]])
