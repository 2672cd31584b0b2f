"""Proof of the dialect `anthropic` by recordings of Anthropic's own traffic, both ways through a running gateway.

`recordings` reads them, `replayer` answers as they were answered, `as_openai` says each request in OpenAI's words,
`sameness` compares what reached the upstream, `meaning` and `leaves` compare what came out, `assembled` puts streams
together. None of it imports the dialect: a misunderstanding there must not be shared here.
"""
