"""What a chapter needs around the kernels of `vaejax`: claims that check themselves, data sets, figures."""
