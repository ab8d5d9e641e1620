"""A certificate authority for tests: a CA, server certificates for loopback, and client certificates of any shape."""
import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
# with the key identifiers, what RFC 5280 asks of a CA, and Python 3.13 insists on
USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
        "crl_sign", "encipher_only", "decipher_only")
USAGE_OF_CA = x509.KeyUsage(**dict.fromkeys(USES, False) | {"key_cert_sign": True, "crl_sign": True})


@dataclass
class Leaf:
    """A certificate with its key, as PEM files."""
    certificate: Path
    key: Path
    x509: x509.Certificate

    @property
    def sha256(self):
        return self.x509.fingerprint(hashes.SHA256()).hex().upper()


class Authority:
    def __init__(self, folder, common_name="Test Fleet CA"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        now = datetime.datetime.utcnow()
        self.x509 = (x509.CertificateBuilder().subject_name(self._name).issuer_name(self._name)
                     .public_key(self._key.public_key()).serial_number(x509.random_serial_number())
                     .not_valid_before(now - DAY).not_valid_after(now + 365 * DAY)
                     .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                     .add_extension(USAGE_OF_CA, critical=True)
                     .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
                     .sign(self._key, hashes.SHA256()))
        self.ca_file = self._write("ca.pem", self.x509.public_bytes(serialization.Encoding.PEM))
        self._server = None
        self._made = 0

    def _write(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def server(self):
        """The certificate of localhost, made at the first call."""
        if self._server is None:
            self._server = self.leaf("localhost", dns=["localhost"], ip=["127.0.0.1"], usage=ExtendedKeyUsageOID.SERVER_AUTH)
        return self._server

    def client(self, common_name=None, **shape):
        return self.leaf(common_name, usage=ExtendedKeyUsageOID.CLIENT_AUTH, **shape)

    def leaf(self, common_name, *, usage, dns=(), uri=(), email=(), ip=(), unit=(), starts=-1.0, ends=30.0, subject=None):
        """A certificate signed by this CA; starts and ends are days from now; subject overrides the whole name."""
        names = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ou) for ou in unit]
        if common_name is not None:
            names.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
        alternatives = ([x509.DNSName(n) for n in dns] + [x509.UniformResourceIdentifier(n) for n in uri] +
                        [x509.RFC822Name(n) for n in email] + [x509.IPAddress(ipaddress.ip_address(n)) for n in ip])
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject or x509.Name(names)).issuer_name(self._name)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + starts * DAY).not_valid_after(now + ends * DAY)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
                   .add_extension(x509.ExtendedKeyUsage([usage]), critical=False))
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        self._made += 1
        stem = f"leaf-{self._made}"
        pem = serialization.Encoding.PEM
        return Leaf(self._write(f"{stem}.pem", certificate.public_bytes(pem)),
                    self._write(f"{stem}.key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                                 serialization.NoEncryption())), certificate)
