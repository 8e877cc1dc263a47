"""A certificate authority of a test's own, the certificates that it vouches for, and a server whose TLS is too old."""

from __future__ import annotations

import datetime
import ipaddress
import socketserver
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.pushkit.keys import pem

_DAY = datetime.timedelta(days=1)
_NOTHING = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_SIGNS = x509.KeyUsage(
    **dict.fromkeys((*_NOTHING, "encipher_only", "decipher_only"), False), key_cert_sign=True, crl_sign=True
)


class Authority:
    """Promised: ``file`` holds its certificate, and no other machine trusts it. Not promised: that it revokes any."""

    def __init__(self, folder: Path, name: str = "Authority of a test") -> None:
        self._folder, self._name, self._key = folder, _named(name), _key()
        self.file = folder / f"{name}.pem"
        self.file.write_text(_signed(self._public(), self._key))

    def _public(self) -> x509.CertificateBuilder:
        """With all that Python asks of an authority from 3.13 on."""
        return (
            _begun(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
            .add_extension(_SIGNS, True)
        )

    def certificate(self, *hosts: str, over: bool = False) -> Path:
        """A key, and a certificate that is good for these names and addresses, in one PEM file; ``over``: it was."""
        key = _key()
        public = (
            _begun(_named(hosts[0]), self._name, key, late=3 * _DAY if over else 0 * _DAY)
            .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
        )
        file = self._folder / f"{hosts[0]}.pem"
        file.write_text(pem(key) + _signed(public, self._key))
        return file


def outdated(context: ssl.SSLContext) -> ssl.SSLContext:
    """Knows TLS 1.1 and nothing newer, whatever the machine's own rules are."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@contextmanager
def outdated_server(certificate: Path) -> Iterator[int]:
    """Speaks TLS 1.1, or not at all; says nothing. Its port."""
    context = outdated(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(certificate)

    class Greeted(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as spoken:
                spoken.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeted) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, late: datetime.timedelta = 0 * _DAY
) -> x509.CertificateBuilder:
    now, number = datetime.datetime.now(datetime.UTC) - late, x509.random_serial_number()
    return x509.CertificateBuilder(issuer, subject, key.public_key(), number, now - _DAY, now + _DAY)


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _signed(public: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    return public.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
