"""Does a model serve? A fresh process checks; nothing here serves users."""
