import keras


class RatesOptimizer(keras.optimizers.MultiOptimizer):
    """An optimizer with separate learning rates for some variables.

    Its `learning_rate` is that of all other variables. Setting it, as
    `ReduceLROnPlateau` does, changes the other rates in proportion.

    Args:
        optimizer: Keras optimizer of all other variables.
        groups: list of pairs of a learning rate and a list of variables.
    """

    def __init__(self, optimizer, groups):
        config, others, chosen = optimizer.get_config(), [], {}
        for rate, variables in groups:
            own = type(optimizer).from_config({**config, "learning_rate": rate})
            others.append((rate, own))
            chosen |= {id(variable): own for variable in variables}

        def choose(variable):
            return chosen.get(id(variable), optimizer)

        super().__init__(choose)
        self._start = config["learning_rate"]
        self._rest, self._others = optimizer, others

    @property
    def learning_rate(self):
        """The rate of all other variables."""
        return self._rest.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._rest.learning_rate = value
        for rate, own in self._others:
            # Relative to the start, so that it recovers from a rate of 0.
            own.learning_rate = rate * value / self._start
