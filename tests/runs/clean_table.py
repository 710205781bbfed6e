"""A table in which nothing is wrong, and whether something was said of one."""

CLEAN = """recipe,seed,acc,loss,lr
sgd,1,0.911,0.31,0.1
sgd,2,0.912,0.32,0.1
adam,1,0.921,0.28,0.1
adam,2,0.918,0.29,0.1
"""


def says(runs, words):
    return any(words in note for note in runs.notes)
