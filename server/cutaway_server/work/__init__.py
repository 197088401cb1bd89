"""Where heavy work runs: killable processes under limits."""
