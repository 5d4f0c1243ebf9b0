"""From what was measured to a decision: evidence, statistics, gates, verdict, blessing."""
