"""Numbers that papers have published, shared by analysis commands and leaderboard."""
