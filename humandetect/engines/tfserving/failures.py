"""What can go wrong between this process and TensorFlow Serving: which failures pass, and what to do about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from humandetect.errors import EngineError, EngineTimeout, EngineUnavailable, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["away", "busy", "elsewhere", "final"]

_CAUSES = (
    ("Failed parsing HTTP/2", "this port does not speak gRPC; TensorFlow Serving's is usually 8500 (8501 is REST)"),
    ("WRONG_VERSION_NUMBER", "this port does not speak TLS; leave out --serving-tls and the certificates"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted, or expired; name its authority with --serving-ca"),
    ("Hostname Verification", "its certificate has another name; connect by that, or give --serving-server-name"),
    ("security handshaker", "the PEM files given for TLS are damaged, or the key is not the certificate's"),
    ("errors resolving", "no such host; check the name"),
    ("Socket closed", "it hung up; where it wants TLS, add --serving-tls, and --serving-cert if it asks who you are"),
    ("Connection refused", "nothing listens there; start the server, or check host and port"),
    ("No such file", "no such socket; start the server, or check the path"),
)  # fmt: skip
_HOPELESS = tuple(text for text, _ in _CAUSES[:5])
_LOST_QUEUE = "batch scheduling queue"
_BROKEN = ("RST_STREAM", "Stream removed")
"""What a connection leaves that breaks in the middle of an answer."""
_BUSY = ("Threadpool Exhausted", "Concurrent RPC limit")


class CallFailed(Exception):
    """A call that got no answer, or an error for one."""

    def __init__(self, target: str, code: str, details: str) -> None:
        super().__init__(f"{target}: {code}: {details}")
        self.target = target
        self.code = code
        """gRPC's name for it, such as NOT_FOUND."""
        self.details = details

    @property
    def kind(self) -> Kind:
        """What may be tried next: wait until the server is back, or has time, or ask another, or give up.

        Predict changes nothing on the server, but a deadline or a refusal is not worth a second try on the same one.
        """
        match self.code:
            case "UNAVAILABLE":
                return "busy" if _LOST_QUEUE in self.details else "away"
            case "CANCELLED":  # not by us: a server that is ended cancels what it works on
                return "away"
            case "INTERNAL" | "UNKNOWN" if any(text in self.details for text in _BROKEN):
                return "away"
            case "RESOURCE_EXHAUSTED" if not self.details or any(text in self.details for text in _BUSY):
                return "busy"
            case "DEADLINE_EXCEEDED" | "NOT_FOUND":
                return "elsewhere"
            case _:
                return "final"

    @property
    def hopeless(self) -> bool:
        """Whether waiting cannot help, because the address or the options are wrong."""
        if self.code == "UNAVAILABLE":
            return any(text in self.details for text in _HOPELESS)
        return self.code in ("UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED")

    @property
    def reason(self) -> str:
        """The cause and the fix where they are known, else what gRPC says."""
        match self.code:
            case "UNAVAILABLE":
                cause = next((cause for text, cause in _CAUSES if text in self.details), None)
                return cause or self.details or "the connection broke"
            case "UNIMPLEMENTED":
                return "it speaks gRPC but is not TensorFlow Serving; check host and port"
            case "UNAUTHENTICATED" | "PERMISSION_DENIED":
                return f"it refuses this client ({self.details}); give --serving-token, or another one"
            case "DEADLINE_EXCEEDED":
                return "it did not answer in time"
            case "CANCELLED":
                return "it cancelled the call, as servers do that are told to end"
            case _:
                return f"{self.code} {self.details}".strip()


def unavailable(reasons: Iterable[tuple[str, str]], *, waited_seconds: float) -> EngineUnavailable:
    """Say of every server why it cannot be used."""
    told = "; ".join(f"{target}: {reason}" for target, reason in reasons)
    return EngineUnavailable(f"no TensorFlow Serving is ready after {waited_seconds:.0f} s. {told}")


def overloaded(failure: CallFailed, *, waited_seconds: float) -> EngineUnavailable:
    """Say that servers answer, but have no time."""
    return EngineUnavailable(
        f"{failure.target} is overloaded: for {waited_seconds:.0f} s it refused this request "
        f"({failure.details or failure.code}); lower --serving-parallel or --batch, or add a server with --serving"
    )


def explained(failure: CallFailed, *, sent: str, timeout_seconds: float) -> EngineError:
    """Turn a final failure into an error for people; `sent` describes the request."""
    where, details = failure.target, failure.details
    match failure.code:
        case "DEADLINE_EXCEEDED":
            return EngineTimeout(
                f"{where} did not answer {sent} within {timeout_seconds:g} s; raise --serving-timeout, or lower --batch"
            )
        case "RESOURCE_EXHAUSTED" if "batching queue" in details:
            return EngineTimeout(
                f"{where} kept {sent} waiting too long in its batching queue; lower --serving-parallel"
            )
        case "RESOURCE_EXHAUSTED" if "larger than max" in details:
            return EngineError(f"{where} or a proxy before it refuses {sent} as too large ({details}); lower --batch")
        case "NOT_FOUND":
            return ModelError(f"{where} no longer has the model ({details}); it was served when this run began")
        case "INVALID_ARGUMENT" | "FAILED_PRECONDITION":
            return EngineError(f"{where} refuses {sent}: {details}")
        case "UNAVAILABLE" | "UNIMPLEMENTED" | "UNAUTHENTICATED" | "PERMISSION_DENIED":
            return EngineUnavailable(f"{where}: {failure.reason}")
        case _:
            return EngineError(f"{where} failed on {sent}: {failure.code} {details}")
