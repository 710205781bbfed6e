"""Pages, charts and tables, drawn from stored results only.

What is drawn are plain dictionaries as `results.json` and the like hold them. Nothing here trains, measures or computes
a statistic; numbers in titles are picked from the stored ones. `charts` is the chart kit, `table` the table and `page`
the page writer; each kind of result has a room with its page, its charts and its tables.
"""
