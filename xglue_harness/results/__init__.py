"""Results as people use them: read, shown, put into tables and figures, compared, and looked at for errors."""
