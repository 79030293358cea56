"""What a network costs, counted from its lowering."""

from lungfish.costs.count import Cost, cost, op_macs, op_params

__all__ = ["Cost", "cost", "op_macs", "op_params"]
