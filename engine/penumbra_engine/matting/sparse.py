"""Sparse matrices by rows, as torch multiplies them on any device and as scipy takes them apart."""

import warnings
from collections.abc import Sequence

import scipy.sparse
import torch
from torch import Tensor


def by_rows(start: Tensor, column: Tensor, values: Tensor, shape: Sequence[int]) -> Tensor:
    """A matrix in CSR form: `start` of each row in the list of columns and values, int32."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(start, column, values, tuple(shape), check_invariants=False)


def to_scipy(matrix: Tensor) -> scipy.sparse.csr_array:
    """The same matrix on the CPU, sharing its memory where it lies there."""
    parts = (matrix.values(), matrix.col_indices(), matrix.crow_indices())
    return scipy.sparse.csr_array(tuple(part.cpu().numpy() for part in parts), shape=tuple(matrix.shape))


def of_scipy(matrix: scipy.sparse.csr_array, device: torch.device) -> Tensor:
    """The same matrix on a device."""
    start, column = (torch.from_numpy(part.astype("int32", copy=False)) for part in (matrix.indptr, matrix.indices))
    return by_rows(start.to(device), column.to(device), torch.from_numpy(matrix.data).to(device), matrix.shape)
