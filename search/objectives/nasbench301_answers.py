"""Answers from NAS-Bench-301's own package, run by the Python that has it, which may be an old one.

``PYTHON nasbench301_answers.py '{"cifar10_valid": FOLDER, ...}' true|false`` first prints a line ``"ready"``. Every
line of input is a seed and two cells as lists of [operation, source]; every line of output holds the models'
predictions by column. Nothing of this project is imported.
"""

import importlib
import json
import os
import sys
from collections import namedtuple

Genotype = namedtuple("Genotype", ["normal", "normal_concat", "reduce", "reduce_concat"])


def main():
    """Load the models, then answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")  # the package's own output goes to stderr
    os.dup2(2, 1)
    folders, noise = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    del sys.path[0]  # this folder, which has a module of the package's name
    package = importlib.import_module("nasbench301")
    numpy = importlib.import_module("numpy")

    models = {column: package.load_ensemble(folder) for column, folder in folders.items()}
    answers.write('"ready"\n')
    answers.flush()
    for line in sys.stdin:
        seed, normal, reduce = json.loads(line)
        cells = [[(operation, source) for operation, source in cell] for cell in (normal, reduce)]
        genotype = Genotype(cells[0], [2, 3, 4, 5], cells[1], [2, 3, 4, 5])
        values = {}
        for column, model in models.items():
            numpy.random.seed(seed)
            predicted = model.predict(config=genotype, representation="genotype", with_noise=noise)
            values[column] = float(numpy.asarray(predicted).reshape(-1)[0])
        answers.write(json.dumps(values) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
