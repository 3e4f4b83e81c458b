"""Ways of making training batches of a source: plain examples, pairs, windows of a text and others, a file each.

A module offers in `PUBLIC` functions of the signature of `dl.data.batches.examples.examples`. Where the examples of a batch
are not those of the source, more tables may say what they are: `FEATURES`, (features of the data, `config.dataset`) ->
those of a training batch; `EPOCH`, (examples of the source, batch size, `config.dataset`) -> how many examples of a batch make
an epoch; `EVALUATION`, (source, `config.dataset`) -> the source whose examples are evaluated;
`BUCKETS`, (source, batch size, `config.dataset`) -> `dl.data.batches.buckets.Order`, where the shape of a batch depends on the
step.
"""
