"""A scripted upstream: an OpenAI-compatible server that stands in for vendors which tests cannot reach.

It answers what a request's own words ask for (`script` has the grammar), looks like the recorded vendors
(`tests/wire/test_scripted_upstream.py` holds it to that), and its log is the truth about what was spent:
every request is on disk before its answer starts.

- `script`   what a request asks for; pure
- `answers`  the bytes of that answer, and how tokens are counted; pure
- `log`      the records it writes and reads back
- `server`   the HTTP side: plays an answer, with its stalls and cuts
- `process`  starts and stops it as a process of its own

By hand: `python -m tests.upstream --port 8080 --log upstream.jsonl`
"""
