# `make quickstart` is `./dev quickstart`, and so on.
.PHONY: quickstart test docs install lock help
help quickstart test install lock:
	@./dev $@
