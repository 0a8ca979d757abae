# Databricks notebook source
# The task `drift` of conf/databricks/job.yml: by Databricks' word only notebooks set a value that a condition can read.
from databricks.sdk.runtime import dbutils
from lakerec.loading import load_config
from lakerec.stages import drifting

result = drifting.drift(load_config(dbutils.widgets.get("conf")))
drifting.print_drift(result)
dbutils.jobs.taskValues.set(key="retrain", value=str(result["retrain"]).lower())
