"""A certificate authority for tests: server and client certificates for 127.0.0.1, made anew each run."""
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
        "crl_sign", "encipher_only", "decipher_only")


class Authority:
    def __init__(self, folder, name="Test CA"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(**dict.fromkeys(USES, False) | {"key_cert_sign": True, "crl_sign": True})
        self.certificate = self._sign(self.name, self.key.public_key(),
                                      [(x509.BasicConstraints(True, None), True), (usage, True),
                                       (x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)])
        self.ca = self._write("ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name, public_key, extensions):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(public_key)
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=1)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name, content, mode=0o644):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def issue(self, name, address="127.0.0.1", host="localhost"):
        """Paths of certificate, key and CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address(address))])
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(),
                                 [(x509.BasicConstraints(False, None), True), (names, False),
                                  (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)])
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return {"cert": self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
                "key": self._write(f"{name}.key", pem, 0o600), "ca": self.ca}
