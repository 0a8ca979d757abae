"""The verb `ingest` for spark-submit: spark-submit ... jobs/ingest.py --conf FILE [--follow]."""

if __name__ != "__main__":
    raise ImportError("jobs are started with spark-submit, not imported; the library is lakerec")

from lakerec.cli import job

job("ingest")
