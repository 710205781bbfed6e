"""The items: a module for each table, figure or theorem, or for several that differ in their settings only."""
