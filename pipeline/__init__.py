"""The graph of the pipeline, its configuration, and everything that talks to an orchestrator."""
