"""A whole desk at once: many accounts, assets and routes that share one inventory."""
