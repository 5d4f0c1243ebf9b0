"""The options with which this project runs Beam, on a laptop and in a container alike."""

# Worker processes must import `tfx` before they unpickle what imports parts of tfx-bsl that it stands in for.
ARGS = ("--beam_plugins=tfx", "--direct_running_mode=in_memory")
