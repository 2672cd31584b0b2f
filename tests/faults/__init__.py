"""What a provider can do wrong, over real sockets: each fault, in every mode and beside healthy models or none.

- `table`      what a fault is, and what is to follow from it: DESIGN's failure table as data
- `faults`     all of them
- `cases`      each of them in each mode, beside a healthy model or none, and what has to come of it
- `catalog`    a configuration in which each case has models and layers of its own
- `listeners`  ports where no HTTP server is
- `world`      a gateway, its providers, and what they saw
- `watched`    the gateway's own process, which tells how many tasks it has
- `asking`     the cases put to that gateway, and what came of them
- `report`     what came of them, as the table of docs/reliability.md

`python -m tests.faults --write` writes that table anew.
"""
