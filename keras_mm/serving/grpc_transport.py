from ..errors import missing_extra
from .outputs import check_outputs, lengths


class GrpcTransport:
    """TF Serving's gRPC interface."""

    def __init__(self, address, timeout):
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError as error:
            raise missing_extra("tensorflow_serving", "serving") from error
        self.address = address
        self.timeout = timeout
        # gRPC's own limit of 4 MB is less than a few hundred embeddings.
        self.channel = grpc.insecure_channel(
            address.server.partition("://")[2],
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def signatures(self):
        from tensorflow.core.framework import types_pb2
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=["signature_def"]
        )
        self._name(request)
        answer = self._call(self.stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return {
            name: {
                **{
                    side: {
                        key: types_pb2.DataType.Name(info.dtype)
                        for key, info in getattr(spec, side).items()
                    }
                    for side in ("inputs", "outputs")
                },
                "shapes": {
                    key: lengths(dim.size for dim in info.tensor_shape.dim)
                    for key, info in spec.inputs.items()
                },
            }
            for name, spec in signatures.signature_def.items()
            if not name.startswith("__saved_model")
        }

    def predict(self, signature, spec, inputs):
        import tensorflow as tf
        from tensorflow.core.framework import types_pb2
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        self._name(request)
        request.model_spec.signature_name = signature
        for name, dtype in spec["inputs"].items():
            tensor = tf.make_tensor_proto(
                inputs[name], dtype=types_pb2.DataType.Value(dtype)
            )
            request.inputs[name].CopyFrom(tensor)
        answer = self._call(self.stub.Predict, request)
        check_outputs(spec["outputs"], dict(answer.outputs))
        return {
            name: [
                _decode(cell, name)
                for cell in tf.make_ndarray(answer.outputs[name]).tolist()
            ]
            for name in spec["outputs"]
        }

    def _name(self, request):
        """Sets the request's model, and its version or label."""
        request.model_spec.name = self.address.name
        if self.address.version:
            request.model_spec.version.value = int(self.address.version)
        if self.address.label:
            request.model_spec.version_label = self.address.label

    def _call(self, method, request):
        import grpc

        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            no_server = (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.INTERNAL,
                grpc.StatusCode.UNIMPLEMENTED,
                grpc.StatusCode.UNKNOWN,
            )
            refused = error.code() in (
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.FAILED_PRECONDITION,
            )
            hint = ""
            if error.code() in no_server:
                hint = (
                    "Is it running, and is this its gRPC port, usually 8500? "
                    "For the REST port, usually 8501, use http://host:port. "
                )
            raise (ValueError if refused else ConnectionError)(
                f"The server answered {error.code().name}: {error.details()} {hint}"
                f"Received: {self.address}"
            ) from error


def _decode(cell, name):
    """Decodes strings to text, as REST does."""
    if isinstance(cell, list):
        return [_decode(item, name) for item in cell]
    if isinstance(cell, bytes) and not name.endswith("_bytes"):
        return cell.decode("utf-8", "replace")
    return cell
