"""Reads the schema that SchemaGen has left."""

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.utils import io_utils


def read_schema(uri: str) -> schema_pb2.Schema:
    """Reads the schema of an artifact, given its path or URI."""
    schema: schema_pb2.Schema = io_utils.parse_pbtxt_file(
        io_utils.get_only_uri_in_dir(uri), schema_pb2.Schema()
    )
    return schema
