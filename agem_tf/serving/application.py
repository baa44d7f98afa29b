"""The web application: routes, errors as JSON, the page."""

import contextlib
from collections.abc import AsyncIterator
from importlib import resources

import fastapi
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from agem_tf._version import __version__
from agem_tf.errors import UserError
from agem_tf.serving import instruments
from agem_tf.serving.change_routes import change_routes
from agem_tf.serving.detail_routes import detail_routes
from agem_tf.serving.guards import CLIENT_LEFT, REQUEST_ID, Guards
from agem_tf.serving.library_routes import image_routes, library_routes
from agem_tf.serving.model_requests import ModelRequests
from agem_tf.serving.open_inference import open_inference_routes
from agem_tf.serving.schemas import ErrorAnswer
from agem_tf.serving.search_routes import search_routes
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import ServiceError
from agem_tf.serving.tensorflow_serving import tensorflow_serving_routes

_REFUSALS = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507)
_METRICS = {200: {"content": {"text/plain": {}}}}
_PAGE = "index.html"


def create_application(service: Service, token: str | None = None) -> Guards:
    """Returns the application of a service, behind its guards.

    Args:
        service: the index and its model.
        token: bearer token that requests must carry, if any.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        service.warm_up()
        yield
        service.close()

    application = fastapi.FastAPI(
        title="agem_tf",
        summary="Search for photos of the same object.",
        version=__version__,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={code: {"model": ErrorAnswer} for code in _REFUSALS},
    )
    _answer_errors(application)
    _add_page(application)
    application.include_router(library_routes(service))
    application.include_router(image_routes(service))
    application.include_router(search_routes(service))
    application.include_router(detail_routes(service))
    application.include_router(change_routes(service))
    requests = ModelRequests(service)
    application.include_router(tensorflow_serving_routes(requests))
    application.include_router(open_inference_routes(requests, service))

    @application.get("/health", tags=["operation"])
    async def health() -> dict[str, str]:
        """Answers while the service runs."""
        return {"status": "ok"}

    @application.get(
        "/metrics", tags=["operation"], response_model=None, responses=_METRICS
    )
    async def metrics() -> Response:
        """Returns metrics for Prometheus."""
        return Response(
            service.instruments.text(), media_type=instruments.CONTENT_TYPE
        )

    return Guards(application, service.options, service.instruments, token)


def _answer_errors(application: fastapi.FastAPI) -> None:
    @application.exception_handler(Exception)
    async def failed(request: Request, _: Exception) -> Response:
        # A defect: the guards log it, the client gets its number only.
        number = request.scope[REQUEST_ID]
        return _refusal(500, f"Internal error; the log has it at {number}.")

    @application.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> Response:
        return _refusal(error.code, str(error), error.headers)

    @application.exception_handler(UserError)
    async def mistaken(_: Request, error: UserError) -> Response:
        return _refusal(400, str(error))

    @application.exception_handler(HTTPException)
    async def unroutable(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        sentence = str(error.detail)
        if error.status_code == 404:
            sentence = "Nothing is at this address; /openapi.json lists all."
        elif error.status_code == 405 and "Allow" in headers:
            sentence = (
                f"This address is for {headers['Allow']}, not for "
                f"{request.method}."
            )
        return _refusal(error.status_code, sentence, headers)

    @application.exception_handler(ClientDisconnect)
    async def left(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_LEFT)

    @application.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if "UploadFile" in first["msg"]:
            return _refusal(
                422,
                f"{first['loc'][1]} is a file, which has a file name in a "
                "form; curl sends one by -F photo=@photo.jpg.",
            )
        place = ".".join(str(part) for part in first["loc"])
        return _refusal(422, f"{place}: {first['msg']}.")


def _refusal(
    code: int, sentence: str, headers: dict[str, str] | None = None
) -> Response:
    return JSONResponse({"error": sentence}, code, headers)


def _add_page(application: fastapi.FastAPI) -> None:
    folder = resources.files("agem_tf.serving").joinpath("web")
    page = folder.joinpath(_PAGE)

    @application.get("/", include_in_schema=False)
    async def root() -> Response:
        return Response(page.read_bytes(), media_type="text/html")

    application.mount("/static", StaticFiles(directory=str(folder)))
