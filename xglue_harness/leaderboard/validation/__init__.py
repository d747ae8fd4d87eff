"""Is a contribution what it says, and may it change what it changes?"""
