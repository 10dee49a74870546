"""The requests that a server replays before it announces a version."""

from ..files import replacing
from .libtensorflow.protobuf import fields, mapping, repeated


def write_warmup(path, name, signatures, requests):
    """Writes a TFRecord file of `PredictionLog` protos.

    Args:
        path: of the file.
        name: string, the model's name on the server.
        signatures: as returned by `read_signatures`.
        requests: dict from signature name to a dict from input name to an array
            of rows.
    """
    import tensorflow as tf

    with replacing(path) as temporary:
        with tf.io.TFRecordWriter(temporary) as writer:
            for signature, inputs in requests.items():
                infos = signatures[signature]["inputs"]
                count = min(map(len, inputs.values()))
                # One row, as most requests are, and all of them.
                for rows in sorted({1, count}):
                    tensors = {
                        # A version whose warm-up fails is not served: the dtypes
                        # must match exactly.
                        key: tf.make_tensor_proto(inputs[key][:rows], info["dtype"])
                        for key, info in infos.items()
                    }
                    writer.write(_prediction_log(name, signature, tensors))


def read_warmup(path):
    """Reads the requests of `write_warmup`, as a server does.

    Yields:
        Signature name, and dict from input name to an array of rows.
    """
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        (request,) = repeated(dict(fields(memoryview(record)))[6], 1)
        (spec,) = repeated(request, 1)
        tensors = {
            key: tf.make_ndarray(TensorProto.FromString(bytes(tensor)))
            for key, tensor in mapping(request, 2).items()
        }
        yield bytes(dict(fields(spec))[3]).decode(), tensors


def _prediction_log(name, signature, tensors):
    """A `PredictionLog` proto of tensorflow_serving, serialized.

    Written by hand, as three messages do not justify a package: see
    tensorflow_serving/apis/prediction_log.proto, predict.proto and
    model.proto for the numbers.
    """
    model_spec = _field(1, name.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for key, tensor in tensors.items():
        entry = _field(1, key.encode()) + _field(2, tensor.SerializeToString())
        request += _field(2, entry)
    predict_log = _field(1, request)
    return _field(6, predict_log)


def _field(number, content):
    """A protobuf field of wire type 2: key, length, bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Encodes a varint: seven bits per byte, lowest first; the eighth is a continuation bit."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
