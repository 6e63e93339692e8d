"""The page that shows who attends to whom: what is written into it, and the page itself in static/."""
