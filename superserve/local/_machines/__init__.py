"""The runners of builds and commands: simulated, or with processes of this machine."""
