"""SchemaGen: what an example must look like, class names included."""
