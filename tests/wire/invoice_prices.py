"""The price list of the golden invoices: USD per million tokens, and for one web search. Fixed, and not the catalog's.

List prices of November 2026 (genai-prices 0.2), of tiers the lowest. Where a line says so, there is none, and one is
made up.
"""

from __future__ import annotations

SONNET = {"input": "3", "output": "15", "cached_input": "0.3", "cache_write_5m": "3.75", "cache_write_1h": "6"}
OPUS = {"input": "5", "output": "25", "cached_input": "0.5", "cache_write_5m": "6.25", "cache_write_1h": "10"}
SEARCH = {"web_search": "0.01"}
GPT_4O = {"input": "2.5", "output": "10", "cached_input": "1.25"}
GPT_4O_MINI = {"input": "0.15", "output": "0.6", "cached_input": "0.075"}
GPT_41_MINI = {"input": "0.4", "output": "1.6", "cached_input": "0.1"}
GPT_5_MINI = {"input": "0.25", "output": "2", "cached_input": "0.025"}
GPT_OSS = {"input": "0.15", "output": "0.6", "cached_input": "0.075"}
FREE = {"input": "0", "output": "0"}

PRICES: dict[str, dict[str, dict[str, str]]] = {
    "anthropic": {
        "claude-3-opus-latest": {"input": "15", "output": "75", "cached_input": "1.5", "cache_write_5m": "18.75"}
        | SEARCH,
        "claude-fable-5": {"input": "10", "output": "50", "cached_input": "1", "cache_write_5m": "12.5"} | SEARCH,
        "claude-haiku-4-5": {"input": "1", "output": "5", "cached_input": "0.1", "cache_write_5m": "1.25"} | SEARCH,
        "claude-opus-4-6": OPUS | SEARCH,
        "claude-opus-4-7": OPUS | SEARCH,
        "claude-opus-4-8": OPUS | SEARCH,
        "claude-sonnet-4-0": SONNET | SEARCH,
        "claude-sonnet-4-5": SONNET | SEARCH,
        "claude-sonnet-4-5-20250929": SONNET | SEARCH,
        "claude-sonnet-4-6": SONNET | SEARCH,
        "claude-sonnet-5": {"input": "2", "output": "10", "cached_input": "0.2", "cache_write_5m": "2.5"} | SEARCH,
    },
    "cerebras": {"qwen-3-coder-480b": {"input": "2", "output": "2"}},  # made up
    "deepseek": {"deepseek-reasoner": {"input": "0.55", "output": "2.19", "cached_input": "0.14"}},
    "groq": {
        "compound-beta": GPT_OSS,  # made up: it costs what the models cost that it asks
        "deepseek-r1-distill-llama-70b": {"input": "0.75", "output": "0.99"},
        "llama-3.3-70b-versatile": {"input": "0.59", "output": "0.79"},
        "llama3-8b-8192": {"input": "0.05", "output": "0.08"},
        "meta-llama/llama-4-maverick-17b-128e-instruct": {"input": "0.2", "output": "0.6"},
        "meta-llama/llama-4-scout-17b-16e-instruct": {"input": "0.11", "output": "0.34"},
        "openai/gpt-oss-120b": GPT_OSS,
        "qwen/qwen3-32b": {"input": "0.29", "output": "0.59"},
    },
    "mistral": {
        "magistral-small-latest": {"input": "0.5", "output": "1.5"},
        "mistral-large-latest": {"input": "2", "output": "6"},
        "mistral-medium-latest": {"input": "1.5", "output": "7.5", "cached_input": "0.15"},
        "pixtral-12b-latest": {"input": "0.15", "output": "0.15"},
    },
    "ollama": {"gpt-oss:20b": FREE},
    "openai": {
        "gpt-4.1-mini": GPT_41_MINI,
        "gpt-4.1-nano": {"input": "0.1", "output": "0.4", "cached_input": "0.025"},
        "gpt-4.5-preview": {"input": "75", "output": "150", "cached_input": "37.5"},
        "gpt-4o": GPT_4O,
        "gpt-4o-audio-preview": GPT_4O,
        "gpt-4o-mini": GPT_4O_MINI,
        "gpt-4o-search-preview": GPT_4O,
        "gpt-5": {"input": "1.25", "output": "10", "cached_input": "0.125"},
        "gpt-5-mini": GPT_5_MINI,
        "gpt-5.4-mini": {"input": "0.75", "output": "4.5", "cached_input": "0.075"},
        "gpt-5.6-sol": {"input": "4", "output": "20", "cached_input": "0.4", "cache_write_5m": "5"},
        "o3-mini": {"input": "1.1", "output": "4.4", "cached_input": "0.55"},
    },
    "openrouter": {
        "anthropic/claude-sonnet-4-5": SONNET,  # made up: the list has it with a dot
        "anthropic/claude-sonnet-4.5": SONNET,
        "anthropic/claude-sonnet-4.6": SONNET,
        "deepseek/deepseek-chat": {"input": "0.2574", "output": "1.0287", "web_search": "0.007"},
        "google/gemini-2.0-flash-exp:free": FREE,
        "google/gemini-2.5-flash": {"input": "0.3", "output": "2.5", "cached_input": "0.03"},
        "minimax/minimax-m2:free": FREE,
        "mistralai/mistral-small": {"input": "0.2", "output": "0.6"},
        "openai/gpt-4.1-mini": GPT_41_MINI | SEARCH,
        "openai/gpt-4o-mini": GPT_4O_MINI,
        "openai/gpt-5-mini": GPT_5_MINI,
        "z-ai/glm-4.6": {"input": "0.6", "output": "2.2", "cached_input": "0.11"},
    },
}
