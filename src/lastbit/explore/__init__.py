"""The explorer: one layer's theory and training on a page with sliders, and stored studies beside it.

It needs the extra `[explore]`; `lastbit explore` opens it. What is computed here comes from `lastbit.pde` and
`lastbit.study`, what is drawn is drawn as `lastbit.report` draws: this room only joins them to the page's controls.
"""
