"""What classifiers of images reach."""
