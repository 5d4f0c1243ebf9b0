"""Teacher nodes that train nothing: one for a model that is brought along, one that averages several."""
