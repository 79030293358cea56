"""Count the parameters, multiply-adds and memory of a network from its lowering."""

from lungfish.costs.cost import Cost, Layer, Precision, cost
from lungfish.costs.count import op_macs, op_params
from lungfish.costs.solve import Solution, solve

__all__ = ["Cost", "Layer", "Precision", "Solution", "cost", "op_macs", "op_params", "solve"]
