"""Statistics of runs, frame in and frame out: nothing here touches the disk or draws."""
