"""The form of the OAuth endpoints: urlencoded only, read strictly (RFC 6749 section 3.2)."""

from urllib.parse import parse_qsl

from fastapi import HTTPException, Request

from gatehouse.web.problems import OAuthError

MAX_FIELDS = 100


async def read_form(request: Request) -> dict[str, str]:
    """The parameters of the body. An empty one counts as absent, an unknown one is ignored.

    Raises 415 for another media type or charset, `invalid_request` for a parameter that is
    there twice, for text that is no UTF-8 and for anything else that is not such a form.
    """
    if "content-type" not in request.headers and not await request.body():
        return {}  # no content has no media type either (RFC 9110 section 8.3)
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != "application/x-www-form-urlencoded" or charset not in (
        "",
        "utf-8",
    ):
        raise HTTPException(415, "Send the body as application/x-www-form-urlencoded in UTF-8.")
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise OAuthError("invalid_request", "The body is not a form that can be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "A parameter is there more than once.")
    return {name: value for name, value in form.items() if value}


def required(form: dict[str, str], name: str) -> str:
    """A parameter that must be there."""
    if name not in form:
        raise OAuthError("invalid_request", f"The parameter {name} is missing.")
    return form[name]
