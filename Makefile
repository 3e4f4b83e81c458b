# `make quickstart` is `./dev quickstart`, and so on.
.PHONY: quickstart test install lock help
help quickstart test install lock:
	@./dev $@
