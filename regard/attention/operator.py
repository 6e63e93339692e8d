"""Attention whose gradient is its own code: as a function of autograd, and as an operator where it is traced.

Such code cannot be traced; torch.compile and torch.export see one call. Outside of them the operator would cost as
much time as a short call does, and its first use a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._functorch.utils import unwrap_dead_wrappers

from regard.attention.implementations import IMPLEMENTATIONS, Implementation
from regard.attention.spec import LEARNED, SCHEMA, Spec, has_no_numbers, transforms


class Operator:
    """One function of attention, with a gradient for query, key, value and whatever of its options is learned.

    Arguments:
        name: of the operator that a traced network calls.
        spec: the options of a call, a tuple with names whose first fields are tensors; ``schema`` types each of them as
            PyTorch does, ``learned`` names those, the first, that may need a gradient.
        implementations: by name, "blocked" among them, and "reference", which PyTorch differentiates.
    """

    def __init__(
        self,
        name: str,
        spec: Callable[..., Any],
        schema: Mapping[str, str],
        learned: Sequence[str],
        implementations: Mapping[str, Implementation[Any, Any]],
    ) -> None:
        self.spec, self.learned, self.implementations = spec, tuple(learned), implementations
        self.inputs = (
            "query",
            "key",
            "value",
            *schema,
            "implementation",
        )  # of operator and function
        self.tensors = sum(kind == "Tensor?" for kind in schema.values())
        rest = ", ".join([*(f"{kind} {field}" for field, kind in schema.items()), "str implementation"])
        self.traced = torch.library.custom_op(
            f"regard::{name}",
            self._forward,
            mutates_args=(),
            schema=f"(Tensor query, Tensor key, Tensor value, {rest}) -> (Tensor, Tensor)",
        )
        self.traced_gradients = torch.library.custom_op(
            f"regard::{name}_backward",
            self._gradients,
            mutates_args=(),
            schema="(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor output, Tensor saved, "
            f"{rest}) -> Tensor[]",
        )
        self.traced.register_fake(self._empty)
        self.traced_gradients.register_fake(self._empty_gradients)
        backward = partial(self._backward, gradients=self.traced_gradients)
        self.traced.register_autograd(backward, setup_context=self._remember)
        self.eager = self._function_of_autograd()

    def attend(self, query: Tensor, key: Tensor, value: Tensor, spec: Any, implementation: str) -> Tensor:
        """The call itself."""
        row, traced = self.implementations[implementation], torch.compiler.is_compiling()
        if not traced and has_no_numbers(query):
            traced, implementation = True, "blocked"  # of which nothing runs: the shape is that of all
        elif row.gradients is None or not (torch.is_grad_enabled() or transforms()):  # autograd takes as long
            return row.attend(query, key, value, spec)[0]
        call: Callable[..., tuple[Tensor, Tensor]] = self.traced if traced else self.eager
        return call(query, key, value, *spec, implementation)[0]

    def _forward(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        """The output, and what is saved for backward beside it."""
        *fields, implementation = rest
        output, saved = self.implementations[implementation].attend(query, key, value, self.spec(*fields))
        assert saved is not None
        return output, saved

    def _gradients(
        self, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor, saved: Tensor, *rest: Any
    ) -> list[Tensor]:
        """Those of query, key, value, and of what is learned where it is given."""
        *fields, implementation = rest
        gradients = self.implementations[implementation].gradients
        assert gradients is not None
        return list(gradients(grad, query, key, value, output, saved, self.spec(*fields)).values())

    def _empty(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        saved_shape = self.implementations[rest[-1]].saved_shape
        assert saved_shape is not None
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        return output, query.new_empty(saved_shape(query), dtype=torch.float32)

    def _empty_gradients(self, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> list[Tensor]:
        _, _, *fields = rest  # output and saved
        given = [query, key, value, *(x for x in fields[: len(self.learned)] if isinstance(x, Tensor))]
        return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in given]

    def _remember(self, ctx, inputs, output):  # type: ignore[no-untyped-def]
        query, key, value, *rest = inputs
        ctx.save_for_backward(query, key, value, *output, *rest[: self.tensors])
        ctx.rest = rest[self.tensors :]

    def _backward(self, ctx, *grads, gradients: Callable[..., list[Tensor]]):  # type: ignore[no-untyped-def]
        """One gradient for each input of :meth:`_forward`, from that of its first output."""
        saved = ctx.saved_tensors  # once: a checkpoint, which computes them again, gives them no second time
        learned = (name for name, x in zip(self.learned, saved[-self.tensors :], strict=False) if x is not None)
        found = gradients(grads[0], *saved, *ctx.rest)
        return self._in_place(dict(zip(("query", "key", "value", *learned), found, strict=True)))

    def _backward_by_definition(self, ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        """As :meth:`_backward`, so that PyTorch can differentiate and transform it again; it holds every score."""
        query, key, value, _, _, *tensors = ctx.saved_tensors
        spec = self.spec(*tensors, *ctx.rest[:-1])
        given = {"query": query, "key": key, "value": value} | spec.learned()

        def output(*inputs: Tensor) -> Tensor:
            query, key, value, *learned = inputs
            inner = spec._replace(**dict(zip(spec.learned(), learned, strict=True)))
            return self.implementations["reference"].attend(query, key, value, inner)[0]

        pull: Callable[[Tensor], tuple[Tensor, ...]] = torch.func.vjp(output, *given.values())[1]
        return self._in_place(dict(zip(given, pull(grad), strict=True)))

    def _in_place(self, gradients: dict[str, Tensor | None]) -> tuple[Tensor | None, ...]:
        return tuple(gradients.get(name) for name in self.inputs)

    def _function_of_autograd(self) -> Callable[..., tuple[Tensor, Tensor]]:
        operator = self

        def run(*inputs: Any) -> tuple[Tensor, Tensor]:
            return operator._forward(*inputs)

        class Eager(torch.autograd.Function):
            forward = staticmethod(run)
            setup_context = staticmethod(operator._remember)

            @staticmethod
            def backward(ctx, *grads):  # type: ignore[no-untyped-def]
                many = transforms() or torch._C._functorch.is_legacy_batchedtensor(grads[0])  # by is_grads_batched
                if many or torch.is_grad_enabled():  # by create_graph
                    return operator._backward_by_definition(ctx, grads[0])
                return operator._backward(ctx, *grads, gradients=operator._gradients)

        # as `Eager.apply`, but for the binding of defaults, of which there are none: it takes as long as all the rest
        plain: Callable[..., tuple[Tensor, Tensor]] = super(torch.autograd.Function, Eager).apply
        transformed: Callable[..., tuple[Tensor, Tensor]] = Eager.apply

        def apply(*inputs: Any) -> tuple[Tensor, Tensor]:
            if torch._C._are_functorch_transforms_active():
                return transformed(*inputs)
            return plain(*unwrap_dead_wrappers(inputs))

        return apply


ATTEND = Operator("attend", Spec, SCHEMA, LEARNED, IMPLEMENTATIONS)
attend = ATTEND.attend
