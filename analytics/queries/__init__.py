"""What the ledger's roll-ups tell: usage, cost, latency, errors, top groups, savings; and search among requests.

Pages, API, commands, MCP and alerts ask here alone. `spans` and `moments` say of when, `filters` of what, `reports` has
the questions, `savings` compares with other ways to spend, `search` lists single requests. `sums` is the only one with
SQL over the roll-ups; none reads raw rows of the ledger but `search`.
"""
