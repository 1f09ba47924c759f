"""Kinds of data: what their files hold, how they are prepared, and what is made of them."""
