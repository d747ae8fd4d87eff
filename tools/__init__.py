"""Tools for the people who work on this repository; no part of the installed package."""
