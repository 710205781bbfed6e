"""The items: each module has one table, figure or theorem, or a few that belong together."""
