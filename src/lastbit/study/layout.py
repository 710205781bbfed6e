"""The names of what lies in a study's directory; `lastbit.study.store` says what each is."""

STUDY, TRIALS, RUNNING, RESULTS, FAILURES = "study.json", "trials", "running", "results.json", "failed"
