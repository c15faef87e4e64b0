"""Train with Stable-Baselines3: PPO learns CartPole, with tensorboard_log. A callback adds hyperparameters, a figure,
an image, a histogram, a video and text."""

import sys

import gymnasium
import numpy as np
import torch
from matplotlib.figure import Figure
from stable_baselines3 import PPO
from stable_baselines3.common import logger
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv


class Rollouts(BaseCallback):
    """Log what SB3's guide to TensorBoard logs, with a figure and a video after each tenth rollout."""

    def _on_training_start(self):
        hparams = {"algorithm": "PPO", "learning rate": self.model.learning_rate, "gamma": self.model.gamma}
        self.logger.record("hparams", logger.HParam(hparams, {"rollout/ep_len_mean": 0, "train/value_loss": 0}))
        self.logger.record("env", "CartPole-v1")

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        angles = torch.linspace(-0.2, 0.2, 32)
        states = torch.zeros(32, 32, 4)
        states[..., 2], states[..., 3] = angles[:, None], 10 * angles
        with torch.no_grad():
            right = self.model.policy.get_distribution(states.view(-1, 4)).distribution.probs[:, 1].view(1, 32, 32)
        self.logger.record("policy/right", logger.Image(right, "CHW"), exclude="stdout")
        self.logger.record("policy/values", self.model.rollout_buffer.values.copy(), exclude="stdout")
        if self.num_timesteps % 5120 == 0:
            figure = Figure()
            figure.add_subplot().plot(self.model.rollout_buffer.values)
            self.logger.record("figure", logger.Figure(figure, close=True), exclude="stdout")
            self.logger.record("video", logger.Video(self.film(), fps=30), exclude="stdout")

    def film(self):
        frames = []
        env = DummyVecEnv([lambda: gymnasium.make("CartPole-v1", render_mode="rgb_array")])
        env.seed(0)

        def grab(*_):
            if len(frames) < 20:
                frames.append(env.envs[0].render()[::4, ::4].transpose(2, 0, 1))

        evaluate_policy(self.model, env, n_eval_episodes=1, callback=grab)
        return torch.from_numpy(np.array([frames]))


def train(log_dir, rollout=512):
    """rollout: the steps between logs. The default of PPO is 2048."""
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=rollout, seed=0, device="cpu", tensorboard_log=log_dir)
    model.learn(10_240, callback=Rollouts())
    model.learn(5_120, callback=Rollouts(), reset_num_timesteps=False)


if __name__ == "__main__":
    train(*sys.argv[1:])
