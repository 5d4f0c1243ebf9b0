"""What runs on this machine: the graph in a workspace, and a pushed model."""
