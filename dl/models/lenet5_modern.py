"""LeNet-5 as it is usually built today (after LeCun, Bottou, Bengio & Haffner 1998; compare `lenet5`).

    layer   operation                              output        parameters
    input   28 x 28 padded by 2, or 32 x 32        32 x 32 x 1
    conv1   convolution 5x5, valid                 28 x 28 x 6          156
            max-pooling 2x2, ReLU                  14 x 14 x 6
    conv2   convolution 5x5, valid                 10 x 10 x 16       2,416
            max-pooling 2x2, ReLU                   5 x 5 x 16
    dense1  fully connected, ReLU                          120       48,120
    dense2  fully connected, ReLU                           84       10,164
    dense3  fully connected                                 10          850
                                                                     61,706

Deviations from the paper: max-pooling for trainable subsampling, ReLU for the scaled tanh, all connections in the second
convolution, logits (for a softmax) instead of distances to bitmaps. ReLU comes after the pooling, which gives the same as
before it for a quarter of the work.
"""

from jaxtyping import Array, Float

from dl.errors import UserError
from dl.models.convnet import ConvNet


class LeNet5Modern(ConvNet):
    """LeNet-5 with max-pooling and ReLU. x [B, 28 or 32, the same, C]; returns logits [B, num_classes] float32.

    Raises:
        UserError: images of another size; an unknown activation, pooling or initializer.
    """

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b k"]:
        if x.shape[1:3] not in ((28, 28), (32, 32)):
            got = "x".join(map(str, x.shape[1:]))
            raise UserError(f"lenet5_modern takes 28x28 or 32x32 images, got {got}: set --config.dataset.size=(32,32).")
        convolutions = ((6, (32 - x.shape[1]) // 2), (16, 0))
        return self.scores(x, convolutions, (120, 84), pool_first=True, train=train)


PUBLIC = {"lenet5_modern": LeNet5Modern}
