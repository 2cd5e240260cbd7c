"""Stage: training rows and their images -> a checkpoint, by the phone-camera recipe of params.yaml's train section.

Reads image rows and shards; writes FOLDER/model.safetensors and config.json, and while it works FOLDER.work/ beside it
(the state after each epoch, and DVCLive's files to watch it by), which is gone when it is done.

Every epoch shows as many pictures as there are rows, each label equally often, each picture augmented anew; chance is keyed
by (seed, epoch, batch, part), so a resumed run meets the pictures an uninterrupted one would have met. What is kept is the
moving average of the weights after the epoch with the best validation accuracy; ties go to the lower loss, then to the
earlier epoch. The same rows, params and machine give the same bytes, for any number of threads.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import augment, learner, model, preprocess, resume
from pipeline.augment import augment as distort
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.learner import Indices, Learner, Part, Score, choose_device, split_batch
from pipeline.model import CheckpointConfig, build_network, save_checkpoint
from pipeline.params import TrainParams
from pipeline.preprocess import PreprocessSpec
from pipeline.records import Image
from pipeline.resume import Epoch, load_state, open_work, save_state
from pipeline.shards import load_batch
