"""Which TensorFlow Serving finds people, and how it is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from humandetect.options.base import REMOTE, option, seconds

ServingOpt = Annotated[
    list[str] | None,
    option(
        REMOTE,
        "--serving",
        metavar="HOST:PORT",
        help="gRPC address of a server for --engine tf-serving; also dns:///NAME:PORT and unix:PATH. Repeatable.",
        env="SERVING",
    ),
]
ServingModelOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-model", help="The model's name on the servers. (default: --model)", env="SERVING_MODEL"),
]
ServingVersionOpt = Annotated[
    int | None,
    option(
        REMOTE,
        "--serving-version",
        min=0,
        help="Version to ask for. (default: the newest that is served)",
        env="SERVING_VERSION",
    ),
]
ServingLabelOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-label", help="Version label to ask for, such as stable.", env="SERVING_LABEL"),
]
ServingSignatureOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-signature", help="Signature to use. (default: serving_default)", env="SERVING_SIGNATURE"),
]
ServingTimeoutOpt = Annotated[
    float,
    option(
        REMOTE,
        "--serving-timeout",
        parser=seconds,
        metavar="TIME",
        help="Longest time for a call, and for a server to be ready at the start.",
        env="SERVING_TIMEOUT",
    ),
]
ServingPatienceOpt = Annotated[
    float,
    option(
        REMOTE,
        "--serving-patience",
        parser=seconds,
        metavar="TIME",
        help="Longest wait for servers that went away or are overloaded.",
        env="SERVING_PATIENCE",
    ),
]
ServingParallelOpt = Annotated[
    int,
    option(
        REMOTE,
        "--serving-parallel",
        min=1,
        max=1024,
        help="Requests under way at once, for each --serving.",
        env="SERVING_PARALLEL",
    ),
]
ServingTlsOpt = Annotated[
    bool, option(REMOTE, "--serving-tls", help="Encrypt; implied by the next four.", env="SERVING_TLS")
]
ServingCaOpt = Annotated[
    Path | None,
    option(REMOTE, "--serving-ca", metavar="FILE", help="PEM certificates to trust.", env="SERVING_CA"),
]
ServingCertOpt = Annotated[
    Path | None,
    option(REMOTE, "--serving-cert", metavar="FILE", help="This client's own certificate.", env="SERVING_CERT"),
]
ServingKeyOpt = Annotated[
    Path | None, option(REMOTE, "--serving-key", metavar="FILE", help="Its private key.", env="SERVING_KEY")
]
ServingServerNameOpt = Annotated[
    str | None,
    option(REMOTE, "--serving-server-name", help="Name to expect in the certificate.", env="SERVING_SERVER_NAME"),
]
ServingTokenOpt = Annotated[
    str | None,
    option(
        REMOTE,
        "--serving-token",
        help="Bearer token for a proxy before the servers; better by HUMANDETECT_SERVING_TOKEN.",
        env="SERVING_TOKEN",
        show_default=False,
    ),
]
