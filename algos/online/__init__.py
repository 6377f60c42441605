"""Online learners of the behaviour policies."""
