"""The verb `backtest` for spark-submit: spark-submit ... jobs/backtest.py --conf FILE [--set key.path=value ...]."""

if __name__ != "__main__":
    raise ImportError("jobs are started with spark-submit, not imported; the library is lakerec")

from lakerec.cli import job

job("backtest")
