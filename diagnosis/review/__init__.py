"""Reviewing: what readers say of answers, their worklist and its pages, how well they agree, what is learnt from it."""
