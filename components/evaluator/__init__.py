"""The Evaluator node: measures every model on the test split and decides."""
