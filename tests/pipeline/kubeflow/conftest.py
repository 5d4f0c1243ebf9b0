import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent))  # For what runs the nodes of a compiled pipeline.
