"""Train with JAX and flax (nnx) in a plain loop, in bfloat16, without torch; log with tensorboardX."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from digits import digits
from flax import nnx
from tensorboardX import SummaryWriter


class Net(nnx.Module):
    def __init__(self, rngs):
        types = {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16, "rngs": rngs}
        self.first, self.second = nnx.Linear(64, 64, **types), nnx.Linear(64, 10, **types)

    def __call__(self, images):
        return self.second(nnx.relu(self.first(images)))


def loss_of(model, images, labels):
    return optax.softmax_cross_entropy_with_integer_labels(model(images).astype(jnp.float32), labels).mean()


@nnx.jit
def train_step(model, optimizer, images, labels):
    loss, gradients = nnx.value_and_grad(loss_of)(model, images, labels)
    optimizer.update(model, gradients)
    return loss, optax.global_norm(gradients)


@nnx.jit
def scores_of(model, images):
    return model(images)


def train(log_dir, every=10, epochs=10):
    """every: the steps between scalars. The weights are logged after each epoch."""
    (images, labels), (held_out, truth) = digits()
    model = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.003), wrt=nnx.Param)
    random = np.random.default_rng(0)
    step = 0
    with SummaryWriter(log_dir) as writer:
        for epoch in range(epochs):
            for batch in random.permutation(len(images)).reshape(-1, 10):
                loss, norm = jax.block_until_ready(train_step(model, optimizer, images[batch], labels[batch]))
                step += 1
                if step % every == 0:
                    writer.add_scalar("train/loss", loss, step)
                    writer.add_scalar("train/gradient", norm, step)
            scores = scores_of(model, held_out)
            writer.add_scalar("val/accuracy", (scores.argmax(1) == truth).mean(), epoch)
            for path, weights in nnx.to_flat_state(nnx.state(model, nnx.Param)):
                writer.add_histogram("/".join(path), weights[...], epoch)
            writer.add_image("weights", jax.nn.sigmoid(model.first.kernel[...].astype(jnp.float32))[None], epoch)
            writer.add_pr_curve("zero", truth == 0, jax.nn.softmax(scores.astype(jnp.float32))[:, 0], epoch)


if __name__ == "__main__":
    train(*sys.argv[1:])
