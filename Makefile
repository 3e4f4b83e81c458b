# `make quickstart` is `./dev quickstart`, and so on.
.PHONY: quickstart test docs gallery install lock help
help quickstart test docs gallery install lock:
	@./dev $@
