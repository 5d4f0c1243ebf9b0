"""What is done on a Kubeflow Pipelines server: versions, runs and schedules."""
