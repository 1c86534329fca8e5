"""Signature Version 4, against AWS's published example and against botocore's signer."""

from __future__ import annotations

from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from functions.adapters.sigv4 import Credentials, Signer, Unsigned

# The suite's identity and time: https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-test-suite.html
EXAMPLE = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
EXAMPLE_S = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


def signed(request: Unsigned, *, credentials: Credentials = EXAMPLE, now_s: float = EXAMPLE_S) -> dict[str, str]:
    """Return the signed headers of a request to the suite's service."""
    return Signer(credentials, region="us-east-1", service="service").signed(request, now_s=now_s)


def test_the_published_example_of_a_post_is_signed_as_published() -> None:
    request = Unsigned(method="POST", path="/", headers={"host": "example.amazonaws.com"}, body=b"")

    assert signed(request)["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    )


VISIBLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
HEADERS = st.dictionaries(st.sampled_from(["content-type", "x-amz-target", "x-amz-invocation-type"]), VISIBLE)
PATHS = st.sampled_from(["/", "/2015-03-31/functions/headgate-scale/invocations", "/a%3Ab/c~d_e.f-g"])
TIMES = st.floats(min_value=0, max_value=4e9)


@given(HEADERS, PATHS, st.binary(max_size=200), st.text("abcXYZ/+=", max_size=30), TIMES)
def test_any_request_is_signed_as_botocore_signs_it(
    headers: dict[str, str], path: str, body: bytes, token: str, now_s: float
) -> None:
    request = Unsigned(method="POST", path=path, headers={**headers, "host": "dynamodb.eu-central-1.amazonaws.com"}, body=body)
    credentials = Credentials(access_key_id="AKID", secret_access_key="secret/+", session_token=token)

    assert signed(request, credentials=credentials, now_s=now_s)["authorization"] == _by_botocore(request, token, now_s)


def test_a_key_of_yesterday_is_not_used_today() -> None:
    request = Unsigned(method="POST", path="/", headers={"host": "h"}, body=b"")
    signer = Signer(EXAMPLE, region="us-east-1", service="service")
    signer.signed(request, now_s=EXAMPLE_S - DAY_S)

    assert signer.signed(request, now_s=EXAMPLE_S) == signed(request)


def test_credentials_do_not_show_what_is_secret() -> None:
    shown = repr(Credentials(access_key_id="AKID", secret_access_key="s3cret", session_token="t0ken"))

    assert shown == "Credentials(access_key_id='AKID')"


def _by_botocore(request: Unsigned, token: str, now_s: float) -> str:
    stamp = datetime.fromtimestamp(int(now_s), UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {**request.headers, "x-amz-date": stamp, **({"x-amz-security-token": token} if token else {})}
    url = f"https://{request.headers['host']}{request.path}"
    theirs = AWSRequest(method=request.method, url=url, headers=headers, data=request.body)
    theirs.context["timestamp"] = stamp
    auth = SigV4Auth(BotocoreCredentials("AKID", "secret/+", token or None), "service", "us-east-1")
    signature = auth.signature(auth.string_to_sign(theirs, auth.canonical_request(theirs)), theirs)
    names = auth.signed_headers(auth.headers_to_sign(theirs))
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(theirs)}, SignedHeaders={names}, Signature={signature}"
