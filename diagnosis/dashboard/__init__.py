"""The staff's dashboard.

rows.py        what is kept of each day: counts and histograms, of no person
counting.py    the predictions of a day → its rows; by beat and by hand
figures.py     rows of the shown days → totals and graphs
drift.py       rows of the last days beside the model's reference → sentences
live.py        what is going on now: queues, workers, beat
views.py       the page, and the fragment that asks the workers
"""
