"""Curvature of training losses: Hessian products, tracked sharpness and the edge of stability."""

from lastbit.curvature.gauss_newton import GaussNewtonOperator
from lastbit.curvature.hessian import HessianOperator
from lastbit.curvature.operator import CurvatureOperator

__all__ = ["CurvatureOperator", "GaussNewtonOperator", "HessianOperator"]
