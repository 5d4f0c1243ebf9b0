"""ExampleValidator: stops the run where the data does not match its schema."""
