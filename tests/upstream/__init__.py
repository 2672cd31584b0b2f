"""A scripted upstream: stands in for vendors which tests cannot reach, in OpenAI's and in Anthropic's dialect.

It answers what a request's own words ask for (`script` has the grammar), follows its schemas and calls its tools, looks
like the recorded vendors (`tests/wire/test_scripted_upstream.py` and `test_scripted_anthropic.py` hold it to that), and
its log is the truth about what was spent: every request is on disk before its answer starts, and what is billed for it
when it has ended (`RunningUpstream.calls`). A token is a word, so the gateway's estimate of a prompt is never below it.

- `script`     what a request asks for; pure
- `exchange`   what both dialects share: the request as read, the answer as composed, and how tokens are counted; pure
- `said`       what the model says, in no dialect; by `tool_calls` (which tools, what arguments), `schemas` and
               `lengths` (how long, where nobody says it); pure
- `answers`    the bytes of that in OpenAI's dialect; reads with `openai_requests`, refuses with `openai_strict`; pure
- `anthropic`  the same in Anthropic's; reads with `anthropic_requests`, refuses with `anthropic_refusals`; pure
- `log`        the records it writes and reads back
- `server`     the HTTP side: plays an answer, with its stalls and cuts
- `connection` what it does to the bare connection below HTTP
- `process`    starts and stops it as a process of its own

By hand: `python -m tests.upstream --port 8080 --log upstream.jsonl`
"""
