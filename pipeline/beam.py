"""The options with which this project runs Beam, on a laptop and in a container alike."""

# Worker processes must import `tfx` before they unpickle what imports parts of tfx-bsl that it stands in for.
_PLUGIN = "--beam_plugins=tfx"
# Unless workers are said to run in an image that holds it, TFX makes a source package of itself whenever a
# node starts, which takes one to two seconds and which nobody installs: Beam runs in this process.
_IMAGE = "--sdk_container_image=distillation-pipeline:0.1.0"

ARGS = (_PLUGIN, _IMAGE, "--direct_running_mode=in_memory")
