"""The server under a steady load for a quarter of an hour: does it hold more and more?"""
