"""Signatures of Standard Webhooks, version 1.

References
----------
Standard Webhooks, https://www.standardwebhooks.com (specification 1.0.0): headers ``webhook-id``, ``webhook-timestamp``
and ``webhook-signature``; the signed content is ``id.timestamp.body``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from models.errors import InputError

__all__ = ["new_secret", "signed_headers"]

_PREFIX = "whsec_"


def new_secret() -> str:
    """Make a secret: 256 random bits.

    Returns
    -------
    str
        ``whsec_`` and base64.

    Examples
    --------
    >>> len(new_secret())
    50
    """
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Sign a message.

    Parameters
    ----------
    secret : str
        From `new_secret`.
    message_id : str
        The same for every attempt at the same event.
    timestamp : int
        Seconds since the epoch, of this attempt.
    body : bytes
        The body as it is sent.

    Returns
    -------
    dict of str to str
        The three headers.

    Raises
    ------
    InputError
        If the secret is not one.

    Examples
    --------
    >>> body = b'{"test": 2432232314}'
    >>> signed_headers("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)[
    ...     "webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        raise InputError("secret", "****", "whsec_ and base64") from None
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}
