"""Where datasets come from: one module a kind of source.

Each module offers `PUBLIC: dict[str, Callable]` of functions `(settings, data_dir, manual_dir) -> Dataset` that return the
stock splits; `dl.data.load` slices and resizes them. Importing them is cheap: heavy libraries are imported where they are used.
TFDS has builders of some of these names: a name in the table `PLAIN` is ours as it stands, and TFDS's with a configuration
(`coco/2017`).
"""
