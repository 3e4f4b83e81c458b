"""Words drawn with fonts, and scenes composed of them: each a function of a few random numbers."""
