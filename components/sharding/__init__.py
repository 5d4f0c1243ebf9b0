"""Work that is done shard by shard, by whichever worker, to the same bytes."""
