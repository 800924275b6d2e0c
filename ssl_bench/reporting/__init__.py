"""Tables, figures and the leaderboard: reads records, writes pages."""
