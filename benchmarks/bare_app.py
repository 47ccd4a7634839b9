"""The reference: the route in plain FastAPI, under uvicorn. Run by the service's own Python."""

import argparse

import uvicorn
from fastapi import FastAPI


def create_app() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/bench")
    async def read_bench() -> dict[str, str]:
        return {"message": "hello"}

    @app.get("/healthz")
    async def read_health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--same-log", action="store_true", help="write the service's own log")
    asked = parser.parse_args()
    log_config = uvicorn.config.LOGGING_CONFIG
    if asked.same_log:
        # Only here: a cold start of the bare application must not load any of the core.
        from gatehouse.web.logs import log_config as log_config_of_the_core

        log_config = log_config_of_the_core(readable=False)
    uvicorn.run(
        create_app(),
        port=asked.port,
        log_config=log_config,
        proxy_headers=False,
        server_header=False,
        ws="none",
    )


if __name__ == "__main__":
    main()
