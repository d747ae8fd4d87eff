"""The leaderboard: backbones and results that people contribute, checked, compared and shown."""
