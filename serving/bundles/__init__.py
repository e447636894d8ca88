"""Models of a running server: fetched, watched, swapped whole, and compared with a challenger."""
