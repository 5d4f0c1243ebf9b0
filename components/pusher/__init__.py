"""The node Pusher: a blessed student becomes the version that ships, one that is refused is put aside."""
