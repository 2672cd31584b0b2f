"""What providers say of their own models: one module per form of list, JSON in, `Offer` values out.

Pure: knows neither HTTP nor the database. `gateway.asking` fetches the lists; `routing.offers.comparing` lays them
beside the models that are set up.
"""
