"""The database of ML Metadata: what it knows of the runs of an experiment, and what it is to forget."""
