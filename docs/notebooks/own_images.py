# %% [markdown]
# # Your own images in five minutes
#
# A folder with a sub-folder for each class is a dataset. Here one is drawn, so that there is something to run; put
# yours in its place.

# %%
from pathlib import Path

import dl
import numpy as np
from PIL import Image, ImageDraw

folder = Path("runs/notebooks/shapes")
rng = np.random.default_rng(0)
for name in ("circle", "cross"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(100):
        image = Image.new("L", (24, 24))
        left, top, size = rng.integers(1, 8), rng.integers(1, 8), rng.integers(9, 15)
        box = (left, top, left + size, top + size)
        draw = ImageDraw.Draw(image)
        if name == "circle":
            draw.ellipse([int(x) for x in box], outline=255, width=2)
        else:
            draw.line([int(x) for x in box], fill=255, width=2)
            draw.line([int(x) for x in (box[0], box[3], box[2], box[1])], fill=255, width=2)
        image.save(folder / name / f"{number}.png")

# %% [markdown]
# Ten percent of them are kept for validation and as many for the test (`dataset.holdout`). Images of several sizes are
# brought to `dataset.size`.

# %%
config = dl.load_config(
    "configs/digits_mlp.py",
    {
        "dataset.name": "folder",
        "dataset.path": str(folder),
        "dataset.channels": 1,
        "dataset.size": (16, 16),
        "dataset.fit": "resize",
        "epochs": 20.0,
        "batch_size": 32,
        "eval_every": 0,
    },
)
run = dl.train(config, "runs/notebooks/own")

# %%
print({name: round(value["mean"], 3) for name, value in run.metrics["test"].items()})

# %% [markdown]
# What does it say of a new image? Names of files, arrays and Pillow's images are all understood.

# %%
print(run.predict([folder / "circle" / "3.png", folder / "cross" / "3.png"]).labels)

# %% [markdown]
# The report with the worst mistakes is in `runs/notebooks/own/report/index.html`. A net that was trained on more images
# is a better start: see the notebook on fine-tuning.
