"""What leaves the site in a person's hands: the report of an answer, the history, everything of theirs."""
