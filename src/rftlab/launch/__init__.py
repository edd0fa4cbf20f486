"""Where jobs run: in this process, in slots of this machine, on a cluster."""
