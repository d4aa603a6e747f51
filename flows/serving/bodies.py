"""What requests carry: TensorFlow Serving's JSON, or an image file; everything that is wrong with it is BadInput.

TensorFlow Serving's REST interface knows two forms. The row form has `instances`, one value per image, and is answered
with `predictions`; the columnar form has `inputs`, one array, and is answered with `outputs`. Besides pixels, an
instance may be an image file: {"b64": "..."}.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
from starlette.requests import Request

from artifacts.prediction.inputs import File
from artifacts.prediction.loaded import Images, Loaded
from data.errors import BadInput

LARGEST = 32 << 20  # bytes of a body
MOST_IMAGES = 1024  # of a request
INPUT = "images"  # the name of the model's input
SIGNATURE = "serving_default"
HOW = 'send {"instances": [image, ...]}, an image as rows of whole numbers from 0 to 255'
SEND_IMAGE = "send a PNG or JPEG as the body, or in the form field 'image'"


class TooLarge(BadInput):
    """A body has more bytes, or a request more images, than are accepted."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What a request asks about.

    Args:
        images: uint8 (n, *geometry.shape).
        answer: the name of the field of the answer.
    """

    images: Images
    answer: Literal["predictions", "outputs"]


async def read(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        TooLarge: it has more than LARGEST bytes; the rest is not read.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise TooLarge(f"expected a body of at most {LARGEST >> 20} MiB, got more", "send fewer images at a time")
        parts.append(part)
    return b"".join(parts)


def predict_request(body: bytes, loaded: Loaded) -> Asked:
    """Read the body of `:predict`.

    Raises:
        BadInput: it is not what TensorFlow Serving takes, or its images are not what the model takes.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not JSON: {error}", HOW) from None
    if not isinstance(value, dict) or ("instances" in value) == ("inputs" in value):
        raise BadInput("expected an object with either 'instances' or 'inputs'", HOW)
    if (name := value.get("signature_name") or SIGNATURE) != SIGNATURE:
        raise BadInput(f"expected the signature {SIGNATURE}, got {name!r}", "leave signature_name out")
    if "instances" in value:
        return Asked(_rows(value["instances"], loaded), "predictions")
    return Asked(loaded.checked(_array(_only_input(value["inputs"]))), "outputs")


def _rows(instances: Any, loaded: Loaded) -> Images:
    if not isinstance(instances, list):
        raise BadInput("expected a list of instances", HOW)
    if len(instances) > MOST_IMAGES:
        raise TooLarge(f"expected at most {MOST_IMAGES} images, got {len(instances)}", "send them in parts")
    if not instances:
        raise BadInput("expected at least one instance, got none", HOW)
    values = [_only_input(one) for one in instances]
    if not any(isinstance(one, dict) for one in values):
        return loaded.checked(_array(values))
    return np.concatenate([_one(value, index, loaded) for index, value in enumerate(values)])


def _one(value: Any, index: int, loaded: Loaded) -> Images:
    if not isinstance(value, dict):
        return loaded.checked(_array([value]))
    if value.keys() != {"b64"} or not isinstance(value["b64"], str):
        raise BadInput(f'instance {index}: expected pixels or {{"b64": "..."}}', HOW)
    try:
        content = base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(f"instance {index}: b64 is not Base64", "encode the image file as it is") from None
    return loaded.prepared(File(f"instance {index}", content)).images


def _only_input(value: Any) -> Any:
    """Return the value of the only input, where it is given by its name."""
    return value[INPUT] if isinstance(value, dict) and value.keys() == {INPUT} else value


def _array(value: Any) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        array = np.asarray(value)
    except ValueError:
        raise BadInput("the images are not all of one shape", HOW) from None
    if array.dtype.kind not in "iuf" or array.ndim == 0:
        raise BadInput("expected numbers, got something else", HOW)
    if len(array) > MOST_IMAGES:
        raise TooLarge(f"expected at most {MOST_IMAGES} images, got {len(array)}", "send them in parts")
    return array


async def image_file(request: Request) -> File:
    """Return the image of an upload: the body, or the file of a form.

    Raises:
        BadInput: there is none.
        TooLarge: it has too many bytes.
    """
    body = await read(request)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        if not body:
            raise BadInput("expected an image, got an empty body", SEND_IMAGE)
        return File("the image", body)
    return await _of_form(request, body)


async def _of_form(request: Request, body: bytes) -> File:
    from starlette.datastructures import UploadFile
    from starlette.exceptions import HTTPException

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, receive).form(max_files=1, max_fields=10) as form:
            files = [value for value in form.values() if isinstance(value, UploadFile)]
            if not files:
                raise BadInput("expected a file in the form, got none", SEND_IMAGE)
            return File("the image", await files[0].read())
    except HTTPException as error:
        raise BadInput(f"the form cannot be read: {error.detail}", SEND_IMAGE) from None
