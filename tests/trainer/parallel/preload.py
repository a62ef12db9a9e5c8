"""What every rank imports, imported once in the server that ranks are forked from."""

import torch.distributed.fsdp

import trainer.train  # noqa: F401

torch.set_num_threads(1)
