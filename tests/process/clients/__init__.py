"""Clients that others wrote, each as its users install it, against a live gateway.

Every client speaks OpenAI's chat completions. Behind the gateway stands the scripted upstream, once as a vendor that
refuses what api.openai.com refuses (`chat/...`), once as one that knows Anthropic's Messages only (`messages/...`):
a client must not be able to tell which.

- `test_openai_helpers`  the official Python SDK: typed answers, stream events, tool helpers, its exceptions
- `test_llm_comply`      answers held to OpenAI's schema; bad requests
- `test_langchain`       LangChain's standard tests of a chat model (`langchain_suite`, in a process of its own)
- `test_npm`             npm's `openai`, `ai` and `@ai-sdk/openai-compatible` (`tests/npm`, run by `node`)
"""
