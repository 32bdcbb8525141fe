"""Other people's files: what nacre writes for them and reads from them."""
