"""What `summary.json` holds."""

import pathlib

SCHEMA_FILE = pathlib.Path(__file__).with_name("summary.schema.json")
