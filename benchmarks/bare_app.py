"""The reference: the route in plain FastAPI, under uvicorn. Run by the service's own Python.

uvicorn as `uvicorn main:app` starts it: uvloop and httptools where they are installed, which is
what `serve` uses too, one process, and uvicorn's own access log, one line of text a request.
`--no-access-log` is what it takes without that line.
"""

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
    parser.add_argument("--no-access-log", dest="access_log", action="store_false")
    asked = parser.parse_args()
    uvicorn.run(
        create_app(),
        port=asked.port,
        access_log=asked.access_log,
        proxy_headers=False,
        server_header=False,
        ws="none",
    )


if __name__ == "__main__":
    main()
