"""The report as one HTML page: figures as inline SVG, images as data; nothing is loaded from elsewhere."""
