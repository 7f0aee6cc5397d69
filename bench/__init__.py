"""How fast and how large it is: `make bench` measures, writes results.json and renders RESULTS.md from it.

    __main__.py   the command line: each part in a process of its own, then the ratios, the files
    run.py        one part, in that process
    parts/        what is measured; a new part is a module with `measure(report)` and a line in PARTS
    report.py     what a part hands in: figures, notes, what failed
    measure.py    repeat, interleave, summarise, weigh a process
    machine.py    where it was measured
    ratios.py     the figures that can be compared between machines
    table.py      results.json → RESULTS.md

No figure is asserted anywhere: times depend on the machine. What is compared runs in turns within one run.
"""
