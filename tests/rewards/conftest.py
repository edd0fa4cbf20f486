"""What other metrics bring along.

rouge-score imports absl, whose handler of logging closes its stream when Hydra sets logging up anew. That would be the
stream of pytest, in which the tests of a whole process are captured.
"""

import sys

from absl import logging

logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
