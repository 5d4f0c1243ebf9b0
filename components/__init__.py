"""The nodes of the pipeline and the plain code they call."""
