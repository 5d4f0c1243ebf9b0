"""What open-source Kubeflow Pipelines needs beside what TFX gives it."""
