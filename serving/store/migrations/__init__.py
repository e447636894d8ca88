"""Alembic migrations; each is a file of `versions`, applied by ``margincast db upgrade``."""
