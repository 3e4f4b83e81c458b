"""The lectures' ConvNet of logistic units: two convolutions, two fully connected layers.

    layer   operation                          output         parameters   for 28 x 28 images
    conv1   convolution 5x5, same, logistic    28 x 28 x 32          832
            max-pooling 2x2                    14 x 14 x 32
    conv2   convolution 5x5, same, logistic    14 x 14 x 64       51,264
            max-pooling 2x2                     7 x 7 x 64
    dense1  fully connected, logistic                 100        313,700
    dense2  fully connected                            10          1,010
                                                                 366,806

Deviations: the logistic function is taken after the pooling, which is the same for the maximum, since it is increasing, and a
quarter of the work; with `pooling = "average"` it is taken before. An odd row or column is left out by the pooling.
"""

from jaxtyping import Array, Float

from dl.errors import UserError
from dl.models.convnet import ConvNet


class SigmoidConvNet(ConvNet):
    """Convolutions of 32 and 64 maps, then 100 hidden units. x [B, H, W, C]; returns logits [B, num_classes] float32.

    Raises:
        UserError: images smaller than 4x4; an unknown activation, pooling or initializer.
    """

    activation: str = "logistic"

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        if min(x.shape[1:3]) < 4:
            raise UserError(f"sigmoid_convnet takes images of at least 4x4, got {x.shape[1]}x{x.shape[2]}.")
        return self.scores(x, ((32, "SAME"), (64, "SAME")), (100,), pool_first=self.pooling == "max", train=train)


PUBLIC = {"sigmoid_convnet": SigmoidConvNet}
