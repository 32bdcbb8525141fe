"""ONNX Runtime: prediction only."""

from __future__ import annotations

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers import check
from benchmarks.workloads import Array, Job


class Learner:
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        check(job)
        nodes, name = [], "x"
        for n in range(len(weights) // 2):
            nodes.append(helper.make_node("Gemm", [name, f"W{n}", f"b{n}"], [f"z{n}"]))
            kind = "Softmax" if 2 * n + 2 == len(weights) else {"relu": "Relu", "sigmoid": "Sigmoid"}[job.activation]
            name = f"a{n}"
            nodes.append(helper.make_node(kind, [f"z{n}"], [name]))
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, job.units[0]])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, job.units[-1]])],
            [numpy_helper.from_array(w, f"{'Wb'[n % 2]}{n // 2}") for n, w in enumerate(weights)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def train(self, epochs: int, shuffle: bool) -> float:
        raise NotImplementedError

    def predict(self, x: Array) -> Array:
        probabilities: Array = self.session.run(None, {"x": x})[0]
        return probabilities
