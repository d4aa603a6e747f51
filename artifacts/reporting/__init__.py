"""What a night has to report, as text and pictures. It measures and decides nothing."""
