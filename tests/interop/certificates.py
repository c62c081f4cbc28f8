"""Certificates for the relays of the tests."""
import datetime
import ipaddress
import os
import pathlib

from programs import Skip


def make_certificates(folder, addresses=(), kind="p256", between=False):
    """An authority and its certificate for localhost, and for addresses: the paths of both certificates and of the
    second one's key, which is of this kind; if asked for, with another certificate between the two."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    except ImportError:
        raise Skip("the Python module cryptography is missing") from None
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)

    def certificate(name, key, issuer, issuer_key, *extensions):
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
        builder = (x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day))
        for extension in extensions:
            builder = builder.add_extension(extension, False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    own = {"p256": lambda: ec.generate_private_key(ec.SECP256R1()),
           "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
           "ed25519": ed25519.Ed25519PrivateKey.generate, "rsa": lambda: rsa.generate_private_key(65537, 2048)}[kind]()
    issuer = ("between", keys[1]) if between else ("authority", keys[0])
    chain = certificate("localhost", own, *issuer, x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), *map(x509.IPAddress, map(ipaddress.ip_address, addresses))]))
    if between:
        chain += certificate("between", keys[1], "authority", keys[0], x509.BasicConstraints(True, None))
    contents = {
        "ca.crt": certificate("authority", keys[0], "authority", keys[0], x509.BasicConstraints(True, None)),
        "relay.crt": chain,
        "relay.key": own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()),
    }
    for name, content in contents.items():
        pathlib.Path(folder, name).write_bytes(content)
    return [os.path.join(folder, name) for name in contents]
