"""The explorer: a page with sliders that shows the theory and training of one layer, and stored studies.

It needs the extra `[explore]`; `lastbit explore` opens it. The numbers come from `lastbit.pde` and `lastbit.study`, and
the charts from `lastbit.report`. This package connects them to the page's controls.
"""
