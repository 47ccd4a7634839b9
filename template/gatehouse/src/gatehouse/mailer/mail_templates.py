"""The templates of mails: which there are, what each may hold, and whose file is taken."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from gatehouse.refusal import StartRefused

log = logging.getLogger("gatehouse.mailing")

# Every mail, with the values that its two templates may hold besides `service` and `email`.
MAILS: Mapping[str, frozenset[str]] = {
    "verify_email": frozenset({"link", "hours"}),
    "already_registered": frozenset({"link"}),
    "reset_password": frozenset({"link", "minutes"}),
    "password_changed": frozenset({"time"}),
    "confirm_new_address": frozenset({"link", "hours"}),
    "address_change_requested": frozenset(),
    "address_changed": frozenset(),
    "login_after_failures": frozenset({"count", "time"}),
}
USELESS_WITHOUT_LINK = {"verify_email", "reset_password", "confirm_new_address"}
OURS = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class MailTemplates:
    """A subject, and the two forms of what follows it."""

    subject: Template
    text: Template
    html: Template


def read_mail(name: str, own: Path | None) -> MailTemplates:
    """The owner's files of a mail where there are any, else ours. Raises `StartRefused`."""
    path, text = _read(f"{name}.txt", own)
    first, second, body = [*text.split("\n", 2), "", ""][:3]
    subject = first[len("Subject:") :].strip()
    if not first.startswith("Subject:") or not subject or second.strip() or not body.strip():
        raise StartRefused(
            f"{path} is refused: it must begin with a line Subject: …, then an empty line, "
            "then the text."
        )
    page, document = _read(f"{name}.html", own)
    return MailTemplates(
        subject=_checked(path, name, subject, link=False),
        text=_checked(path, name, body),
        html=_checked(page, name, document),
    )


def _read(file: str, own: Path | None) -> tuple[Path, str]:
    path = own / file if own and (own / file).exists() else OURS / file
    try:
        return path, path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise StartRefused(f"{path} is refused: it is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise StartRefused(f"{path} cannot be read: {error.strerror}.") from None


def _checked(path: Path, name: str, text: str, *, link: bool = True) -> Template:
    """A template that can be filled with the values that its mail has."""
    template = Template(text)
    known = MAILS[name] | {"service", "email"}
    if not template.is_valid():
        raise StartRefused(
            f"{path} is refused: a $ in it is not followed by a name. Write $$ for a dollar."
        )
    found = set(template.get_identifiers())
    if unknown := found - known:
        raise StartRefused(
            f"{path} is refused: it holds ${', $'.join(sorted(unknown))}. This mail has "
            f"${', $'.join(sorted(known))}."
        )
    if link and name in USELESS_WITHOUT_LINK and "link" not in found:
        raise StartRefused(f"{path} is refused: it lacks $link, which this mail must contain.")
    return template


def warn_of_strangers(own: Path | None) -> None:
    """A file of no known mail has most likely a misspelt name, and would never be used."""
    if own and not own.is_dir():
        log.info("%s is not there: every mail is the core's own", own)
    for path in sorted(own.glob("*")) if own else ():
        if path.suffix in (".txt", ".html") and path.stem not in MAILS:
            log.warning("%s belongs to no mail of this service: it has no effect", path.name)
