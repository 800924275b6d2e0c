"""The leaderboard's pages: one file a kind of page, with its template in ``reporting/templates``."""
