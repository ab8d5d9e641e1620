/* Whether 32 octets are an Ed25519 public key one may trust signatures to. OpenSSL does not look before it verifies. */
#ifndef GUARD_AUTH_KEY_ED25519_H
#define GUARD_AUTH_KEY_ED25519_H

/*
 * NULL if key (32 octets, RFC 8032 §5.1.2) is canonical, on the curve and not of small order; otherwise what is wrong,
 * as a static phrase. Under a key of small order, signatures can be made that fit many messages.
 */
const char *auth_ed25519_fault(const unsigned char key[32]);

#endif
