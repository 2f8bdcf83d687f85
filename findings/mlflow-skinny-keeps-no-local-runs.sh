#!/usr/bin/env bash
# mlflow-skinny 3.17.2, installed alone: nothing can be tracked on the own machine without further settings, though the
# tracking client is what the package is for.
#
# With no URI set, the client resolves to a SQLite file in the present folder, for which the package lacks a store
# (SQLAlchemy is a dependency of the full mlflow alone): UnsupportedModelRegistryStoreURIException. With a file URI, the
# one local store that the package has, it refuses with an MlflowException, since that store is in maintenance mode.
# With MLFLOW_ALLOW_FILE_STORE=true the file store works. So a training that logs to MLflow, as
# mechgrok.train(tracker="mlflow") does, needs either the full package or that variable.
#
# Exit status: 0 where this is still so, 1 where it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "mlflow-skinny==3.17.2"
cat > "$folder/track.py" <<'PYTHON'
import sys

from mlflow import MlflowClient

try:
    client = MlflowClient(*sys.argv[1:])
    run = client.create_run(client.create_experiment("grokking"))
    client.log_metric(run.info.run_id, "loss", 0.5, step=10)
    print("logged", client.get_run(run.info.run_id).data.metrics["loss"])
except Exception as error:
    print(type(error).__name__)
PYTHON
cd "$folder"
unset MLFLOW_TRACKING_URI MLFLOW_REGISTRY_URI MLFLOW_ALLOW_FILE_STORE
try() { "$folder/venv/bin/python" "$folder/track.py" "$@" 2>/dev/null | tail -n 1; }
default=$(try)
file=$(try "file://$folder/mlruns")
allowed=$(MLFLOW_ALLOW_FILE_STORE=true try "file://$folder/mlruns")
printf 'mlflow-skinny 3.17.2, no URI: %s\na file URI: %s\nthe same, allowed: %s\n' "$default" "$file" "$allowed"
[ "$default" = UnsupportedModelRegistryStoreURIException ] && [ "$file" = MlflowException ] && [ "$allowed" = "logged 0.5" ]
