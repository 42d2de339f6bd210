(window.PLATES ??= {}).dial = {"log_joints":[-8.6764879,-10.309216]};
