"""What one calls from Python: the names that `import dl` offers. The programs in `experiments/` are the same from a shell.

    import dl

    model = dl.create_model("resnet50", weights="resnet50.pth")
    print(model.predict("cat.jpg").top(5))

    config = dl.load_config("configs/digits_lenet5.py:quick", {"optimizer.learning_rate": 1e-3})
    run = dl.train(config, "runs/lenet5")
    print(run.metrics["test"]["error"]["mean"], run.predict("digit.png").labels)

docs/python_api.md tells of all of them.
"""
