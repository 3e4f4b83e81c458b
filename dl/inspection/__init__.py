"""Looking into trained classifiers: one file a method, each a pure function of a network's forward pass and an image.

Pixels are RGB or grey in 0..1, and so are epsilons and gradients: a `Network` standardises them on the way in.
"""
