"""The load test: the gateway beside a floor, on the same machine in the same minutes.

Absolute figures move with the machine's neighbours, ratios hold: so every round measures both, and what is recorded and
compared is the gateway's CPU per request over the floor's.

- `floor`    the least an ASGI server can do: relay by aiohttp, nothing else
- `servers`  starts and stops both, pins them to a core, reads what they used
- `load`     sends a fixed number of requests and measures each
- `money`    what the gateway's key is held to where that is measured too
- `expected` which bytes a client must get
- `judge`    the recorded ratios, and what fails against them; pure
- `report`   the table
- `bench`    the story: `python -m tests.load.bench`
"""
