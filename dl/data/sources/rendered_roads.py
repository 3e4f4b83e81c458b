"""Rendered roads: what a camera behind a windscreen sees, and how far the steering wheel is to be turned.

Everything about an example is a function of (seed, split, position): where the car is on its lane, how the road bends, colours,
light and noise. The ground is a plane, and the road's lane is as far to the right of the camera, in metres, as

    x(z) = offset + tan(heading) z + curvature z^2 / 2

at the distance z. The wheel's angle is that of pure pursuit (Coulter 1992): the circle through the lane's middle `AHEAD` metres
ahead, driven by a car of a wheelbase L, takes the front wheels to atan(2 L sin(a) / d), a the angle and d the distance to that
point; the steering gear multiplies it. A positive angle is to the right.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError

HEIGHT, WIDTH = 66, 200
FOCAL, CAMERA = WIDTH / 2 / np.tan(np.radians(30)), 1.3  # pixels; metres above the road
HORIZON = 18.0  # row
FARTHEST = 120.0  # metres
LANE, LINE = 3.6, 0.15  # metres: of a lane, of a painted line
DASH = 6.0  # metres from a dash to the next, half of it painted
AHEAD, WHEELBASE, GEAR = 12.0, 2.7, 15.0
SPLITS = ("train", "validation", "test")
EXAMPLES, HELD_OUT = 10_000, 1000


class Road(NamedTuple):
    """Where the car is: metres to the right of the camera where the lane's middle is, radians, 1 / metres."""

    offset: float
    heading: float
    curvature: float


def drawn(rng: np.random.Generator) -> Road:
    """A road: offsets of up to 0.8 m, headings of up to 8 degrees, bends of a radius of 33 m and more."""
    offset, heading, curvature = rng.uniform(-1, 1, 3)
    return Road(0.8 * offset, np.radians(8) * heading, 0.03 * curvature)


def lane(road: Road, z: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Metres to the right at which the lane's middle is, at distances z in metres."""
    return road.offset + np.tan(road.heading) * z + road.curvature * z**2 / 2


def steering(road: Road) -> float:
    """The angle of the steering wheel in degrees."""
    x = float(lane(road, np.array([AHEAD]))[0])
    wheels = np.arctan(2 * WHEELBASE * np.sin(np.arctan2(x, AHEAD)) / np.hypot(x, AHEAD))
    return float(np.degrees(GEAR * wheels))


def render(road: Road, rng: np.random.Generator) -> np.ndarray:
    """The image uint8 [66, 200, 3]; `rng` gives colours, light, shadows and noise."""
    horizon = HORIZON + rng.uniform(-2, 2)
    rows, columns = np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5
    sky, grass = rng.uniform((90, 120, 160), (170, 200, 255)), rng.uniform((40, 60, 20), (140, 150, 80))
    asphalt, white, phase = rng.uniform(50, 130), rng.uniform(180, 240), rng.uniform(0, DASH)
    noise = rng.standard_normal((HEIGHT, WIDTH, 1), np.float32)
    image = np.empty((HEIGHT, WIDTH, 3), np.float32)
    image[:] = (sky + 40 * rows[:, None] / HEIGHT)[:, None]
    begin = int(np.ceil(horizon + 0.5))
    z = np.minimum(FOCAL * CAMERA / (rows[begin:] - horizon), FARTHEST)[:, None]
    across = ((columns - WIDTH / 2) * z / FOCAL - lane(road, z[:, 0])[:, None]).astype(
        np.float32
    )  # metres from the lane's middle
    ground = image[begin:]
    ground[:] = grass + 12 * noise[begin:]
    paved = np.abs(across + 0.5 * LANE) < LANE
    ground[paved] = asphalt + 5 * noise[begin:][paved]
    half = LINE / 2 + 0.5 * z / FOCAL  # never much thinner than a pixel
    dashed = (np.abs(across + 0.5 * LANE) < half) & ((z + phase) % DASH < DASH / 2)
    ground[((np.abs(np.abs(across + 0.5 * LANE) - LANE) < half) | dashed) & (z < FARTHEST)] = white
    near, long, left, dark = rng.uniform((5, 1, -12, 0.4), (40, 8, 0, 0.8))
    if rng.random() < 0.5:
        ground[(z > near) & (z < near + long) & (across > left)] *= dark
    image = image * rng.uniform(0.6, 1.2) + rng.uniform(0, 6) * noise[:, ::-1]
    return image.clip(0, 255).round().astype(np.uint8)


class Roads:
    """One split. What training draws is new every time, a function of the seed and the position in the run; `gather` gives the
    examples by their number, which are always the same.
    """

    resident = False

    def __init__(self, seed: int, number: int, count: int):
        self.seed, self.number, self.count = seed, number, count

    def __len__(self) -> int:
        return self.count

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return _stacked([self._generator(index) for index in np.asarray(indices).tolist()])

    def draw(self, indices: np.ndarray, numbers: np.ndarray) -> dict[str, np.ndarray]:
        return _stacked([np.random.default_rng(np.ravel(row).tolist()) for row in numbers])

    def column(self, name: str) -> np.ndarray | None:
        if name != "target":
            return None
        return np.array([steering(drawn(self._generator(index))) for index in range(self.count)], np.float32)

    def _generator(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.number, index])


def _stacked(generators: list[np.random.Generator]) -> dict[str, np.ndarray]:
    roads = [drawn(rng) for rng in generators]
    images = [render(road, rng) for road, rng in zip(roads, generators, strict=True)]
    empty = np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)
    return {"image": np.stack(images) if images else empty, "target": np.array([*map(steering, roads)], np.float32)}


def load_rendered_roads(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`image` uint8 [66, 200, 3] and `target`, degrees: `train` (`dataset.examples`, 10,000, an epoch), `validation` and
    `test` (1,000 each, or as many as `train` where those are fewer), of `dataset.seed`.

    Raises:
        UserError: no examples, or a negative seed.
    """
    examples, seed = settings.get("examples", EXAMPLES), settings.get("seed", 0)
    if examples < 1 or seed < 0:
        raise UserError(f"dataset.examples={examples} must be at least 1, and dataset.seed={seed} at least 0.")
    counts = {"train": examples, "validation": min(examples, HELD_OUT), "test": min(examples, HELD_OUT)}
    info = Info("rendered_roads", {"image": Feature(Kind.IMAGE, (HEIGHT, WIDTH, 3)), "target": Feature(Kind.NUMBER, ())})
    return Dataset(info, {split: Roads(seed, number, counts[split]) for number, split in enumerate(SPLITS)})


PUBLIC = {"rendered_roads": load_rendered_roads}
SETTINGS = {"rendered_roads": {"examples": EXAMPLES, "seed": 0}}
