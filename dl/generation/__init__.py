"""What a trained run can make: text, images. One module a task, found by the task's name.

A module offers in `PUBLIC`, by the name of its task, functions `(experiment, params, variables, key, **settings) -> name ->
Artifact`; the settings are flags of `experiments.generate`, and those that were not given take the function's defaults.

In `PREDICT` it offers, by the name of its task, `(experiment, params, variables, inputs) -> what is said of them`, for
`dl.load_run(workdir).predict(inputs)`.
"""
