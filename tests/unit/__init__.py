"""One file per module of `proxy`, in the same folders."""
