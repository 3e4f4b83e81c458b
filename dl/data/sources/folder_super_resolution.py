"""A folder of one's own images, of any sizes, for super-resolution."""

from ml_collections import ConfigDict

from dl.data import low_resolution
from dl.data.decoding import contents
from dl.data.low_resolution import check_scale, dataset_of, paired, picture
from dl.data.slicing import names_in
from dl.data.sources.own_files import held_out, images_below, named_splits, path_of
from dl.dataset import Dataset


def load_folder_super_resolution(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: images at any depth below it, as `dl.data.low_resolution` has them, made small by `dataset.scale` (4).

    `path/train`, with `test`, perhaps `validation` beside it, are the splits; without `path/train`, `dataset.holdout` cuts them
    by the names of the files, as for the dataset "folder".

    Raises:
        UserError: no such folder, an undecodable file, an image smaller than the scale, more than memory holds.
    """
    root = path_of(settings, "path", "a folder with images")
    scale = check_scale(settings.get("scale", 4))
    if stated := named_splits(root):
        wanted = names_in(list(settings.splits.values()), list(stated))
        paths = {split: list(images_below(stated[split]).values()) for split in wanted}
    else:
        whole = images_below(root)
        cut = held_out(whole, settings)
        wanted = names_in(list(settings.splits.values()), list(cut))
        paths = {split: [whole[name] for name in cut[split]] for split in wanted}
    splits = {split: paired([picture(contents(file), file) for file in files], files, scale) for split, files in paths.items()}
    return dataset_of("folder_super_resolution", dict(splits), settings)


PUBLIC = {"folder_super_resolution": load_folder_super_resolution}
SETTINGS = {"folder_super_resolution": low_resolution.SETTINGS}
