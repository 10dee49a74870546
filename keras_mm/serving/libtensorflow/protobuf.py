"""A reader of Protocol Buffers messages, without generated classes."""


def fields(message):
    """Yields `(field number, value)` of a protobuf message.

    A value is an int (wire type 0) or the field's bytes (1, 2 and 5).
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key & 7 == 0:
            value, position = _varint(message, position)
        else:
            if key & 7 == 2:
                size, position = _varint(message, position)
            else:
                size = {1: 8, 5: 4}[key & 7]
            value = message[position : position + size]
            position += size
        yield key >> 3, value


def _varint(message, position):
    """Seven bits per byte, the lowest first; the eighth is set if more bytes follow."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position


def repeated(message, number):
    return (value for field, value in fields(message) if field == number)


def mapping(message, number):
    """A map field with string keys: messages of key (1) and value (2)."""
    entries = [dict(fields(entry)) for entry in repeated(message, number)]
    return {bytes(e.get(1, b"")).decode("utf-8"): e.get(2, b"") for e in entries}
