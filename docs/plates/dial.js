(window.PLATES ??= {}).dial = {"log_joints":[-8.676488,-10.30922]};
