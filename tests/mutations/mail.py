"""Mail: jobs that are done once and in time, mails that hold no more than they should, TLS."""

from mutations import CORE, Mutation

JOBS = "gatehouse/tests/test_outbox.py"
MAILING = "gatehouse/tests/test_mailing.py"

MUTATIONS = {
    "job that is gone": Mutation(
        f"{CORE}/mailer/outbox.py",
        "        if current is None:\n            return None\n        mail",
        "        if current is None:\n            current = job\n        mail",
        f"{JOBS} meanwhile",
        owner=True,
    ),
    "end of a job that needs no mail": Mutation(
        f"{CORE}/mailer/outbox.py",
        "        if mail is None:\n            session.delete(current)\n",
        "",
        f"{JOBS} needs",
        owner=True,
    ),
    "end of a job whose mail was sent": Mutation(
        f"{CORE}/mailer/outbox.py",
        "                    session.execute(delete(Job).where(col(Job.id) == job.id))\n",
        "                    pass\n",
        f"{JOBS} cannot",
        owner=True,
    ),
    "end of a job that is a day old": Mutation(
        f"{CORE}/mailer/outbox.py",
        "            if age > KEPT:\n",
        "            if False:\n",
        f"{JOBS} given_up",
        owner=True,
    ),
    "ever longer waits": Mutation(
        f"{CORE}/mailer/outbox.py",
        "min(3_600, 30 * 2 ** (current.attempts - 1))",
        "30",
        f"{JOBS} rarely",
        owner=True,
    ),
    "hook that fails in a job": Mutation(
        f"{CORE}/mailer/outbox.py",
        "        except Exception:  # of an owner's hook\n",
        "        except LookupError:\n",
        f"{JOBS} hook",
        owner=True,
    ),
    "task that outlives any error": Mutation(
        f"{CORE}/mailer/outbox.py",
        "            except Exception as error:\n                # Such",
        "            except ZeroDivisionError as error:\n                # Such",
        f"{JOBS} outlives",
        owner=True,
    ),
    "trouble of the task that sends mail": Mutation(
        f"{CORE}/mailer/outbox.py",
        "                self._failed = True\n",
        "",
        f"{JOBS} outlives",
        owner=True,
    ),
    "fragment of a link": Mutation(
        f"{CORE}/mailer/jobs.py",
        "{page}#token=",
        "{page}?token=",
        "gatehouse/tests/test_registration.py proved",
        owner=True,
    ),
    "address of a later request": Mutation(
        f"{CORE}/mailer/jobs.py",
        "        Job.email_key == job.email_key,\n",
        "",
        f"{JOBS} later",
        owner=True,
    ),
    "kind of a later request": Mutation(
        f"{CORE}/mailer/jobs.py",
        "        Job.kind == job.kind,\n",
        "",
        f"{JOBS} later",
        owner=True,
    ),
    "account of a later request": Mutation(
        f"{CORE}/mailer/jobs.py",
        "        Job.user_id == job.user_id,\n",
        "",
        "gatehouse/tests/test_recovery.py later",
        owner=True,
    ),
    "one mail for two requests": Mutation(
        f"{CORE}/accounts/recovery.py",
        "    if is_superseded(session, job):\n        return None\n    # Not by",
        "    # Not by",
        f"{JOBS} twice",
        owner=True,
    ),
    "stamp of a job that was put off": Mutation(
        f"{CORE}/accounts/users.py",
        "    return user if job.stamp == user.stamp else None\n",
        "    return user\n",
        "gatehouse/tests/test_between.py put_off",
        owner=True,
    ),
    "one recipient": Mutation(
        f"{CORE}/mailer/sender.py",
        "recipient = validate_email(to, check_deliverability=False)  # one, with no line end",
        (
            "recipient = ValidatedEmail.__new__(ValidatedEmail)\n"
            '        recipient.local_part, _, recipient.domain = to.rpartition("@")\n'
            "        recipient.ascii_domain = recipient.domain"
        ),
        f"{MAILING} one_address",
    ),
    "markup in a mail": Mutation(
        f"{CORE}/mailer/sender.py",
        "html.escape(value)",
        "value",
        f"{MAILING} escaped",
    ),
    "line ends in a subject": Mutation(
        f"{CORE}/mailer/sender.py",
        "_one_line(mail.subject.substitute(given))",
        "mail.subject.substitute(given)",
        f"{MAILING} line_ends",
    ),
    "line ends in the name of the service": Mutation(
        f"{CORE}/mailer/sender.py",
        "self._service = _one_line(service)",
        "self._service = service",
        f"{MAILING} line_ends",
    ),
    "no answer of a machine": Mutation(
        f"{CORE}/mailer/sender.py",
        '        message["Auto-Submitted"] = "auto-generated"'
        "  # RFC 3834: nobody's absence note answers\n",
        "",
        f"{MAILING} headers",
    ),
    "words of an owner's own way to send": Mutation(
        f"{CORE}/mailer/sender.py",
        'raise MailNotSent(f"send_mail raised {type(error).__name__} ({where})") from None',
        'raise MailNotSent(f"send_mail raised {error} ({where})") from None',
        f"{MAILING} own_way",
    ),
    "words of a mail server": Mutation(
        f"{CORE}/mailer/smtp.py",
        "    return f\"{words} ({type(error).__name__}{f' {code}' if code else ''})\"",
        "    return f\"{words} ({error}{f' {code}' if code else ''})\"",
        f"{MAILING} words",
    ),
    "mail for the terminal": Mutation(
        f"{CORE}/mailer/sender.py",
        '    print(frame.encode(encoding, "backslashreplace").decode(encoding), flush=True)\n',
        '    __import__("logging").getLogger("gatehouse").info(frame)\n',
        f"{MAILING} terminal",
    ),
    "no way to send": Mutation(
        f"{CORE}/mailer/sender.py",
        '            raise MailNotSent("SMTP_URL is not set")\n',
        "            pass\n",
        f"{MAILING} without_any_way",
    ),
    "values that a template may have": Mutation(
        f"{CORE}/mailer/mail_templates.py",
        "    if unknown := found - known:",
        "    if unknown := set[str]():",
        f"{MAILING} broken_file",
    ),
    "link that a template must have": Mutation(
        f"{CORE}/mailer/mail_templates.py",
        '    if link and name in USELESS_WITHOUT_LINK and "link" not in found:',
        "    if False:",
        f"{MAILING} broken_file",
    ),
    "host of a link is a domain": Mutation(
        f"{CORE}/mailer/sender.py",
        'domain = host if _DOMAIN.fullmatch(host) else "localhost"',
        "domain = host",
        f"{MAILING} sender",
    ),
    "TLS where it is offered": Mutation(
        f"{CORE}/mailer/smtp.py",
        '    if server.has_extn("starttls"):\n',
        "    if False:\n",
        f"{MAILING} starttls",
    ),
    "TLS on the way to another host": Mutation(
        f"{CORE}/mailer/smtp.py",
        "        raise NoTls\n",
        "        pass\n",
        f"{MAILING} without_tls",
    ),
    "certificate of another host": Mutation(
        f"{CORE}/mailer/smtp.py",
        "        if _is_loopback(host):\n            # Here",
        "        if True:\n            # Here",
        f"{MAILING} certificate",
    ),
    "who vouches for a certificate": Mutation(
        f"{CORE}/mailer/smtp.py",
        ('    if parts.scheme == "smtps":\n        context = ssl.create_default_context()\n'),
        ('    if parts.scheme == "smtps":\n        context = ssl._create_unverified_context()\n'),
        f"{MAILING} certificate or smtps",
    ),
    "certificate of STARTTLS": Mutation(
        f"{CORE}/mailer/smtp.py",
        "        context = ssl.create_default_context()\n        if _is_loopback",
        "        context = ssl._create_unverified_context()\n        if _is_loopback",
        f"{MAILING} certificate",
    ),
    "what is this machine": Mutation(
        f"{CORE}/mailer/smtp.py",
        '        return host == "localhost"\n',
        "        return True\n",
        f"{MAILING} other_host or certificate",
    ),
    "end of a silent server": Mutation(
        f"{CORE}/mailer/smtp.py",
        "            self.sock.settimeout(max(0.001, min(STEP, self._end - time.monotonic())))\n",
        "            pass\n",
        f"{MAILING} end or silent",
    ),
    "end of all answers together": Mutation(
        f"{CORE}/mailer/smtp.py",
        "max(0.001, min(STEP, self._end - time.monotonic()))",
        "STEP",
        f"{MAILING} together",
    ),
    "mail that was accepted": Mutation(
        f"{CORE}/mailer/smtp.py",
        "        with suppress(smtplib.SMTPException, OSError):\n            server.quit()\n",
        "        server.quit()\n",
        f"{MAILING} farewell",
    ),
    "name in the greeting": Mutation(
        f"{CORE}/mailer/smtp.py",
        "        super().__init__(host, port, name, timeout=STEP, **options)\n",
        "        super().__init__(host, port, timeout=STEP, **options)\n",
        f"{MAILING} recipient",
    ),
    "user and password of the mail server": Mutation(
        f"{CORE}/mailer/smtp.py",
        'server.login(unquote(parts.username), unquote(parts.password or ""))',
        'server.login(parts.username, parts.password or "")',
        f"{MAILING} login or password",
    ),
    "one job however many look": Mutation(
        f"{CORE}/mailer/outbox.py",
        ".with_for_update(skip_locked=True)",
        "",
        f"{JOBS} once",
        postgresql=True,
    ),
}
