#include "audit/chain.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void audit_hex(const unsigned char *octets, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *out++ = digits[octets[i] >> 4];
        *out++ = digits[octets[i] & 15];
    }
    *out = '\0';
}

/* Values of the digits 0-9 and a-f plus one; 0 = no digit. A table: the verifier does this 64 times a line. */
static const unsigned char hex_values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};

bool audit_unhex(const char *hex, size_t count, unsigned char *out)
{
    unsigned bad = 0;
    for (size_t i = 0; i < count && !bad; i++) {
        unsigned high = hex_values[(unsigned char)hex[2 * i]];
        unsigned low = high ? hex_values[(unsigned char)hex[2 * i + 1]] : 0; /* never beyond a NUL */
        bad = !high || !low;
        out[i] = (unsigned char)((high - 1) << 4 | ((low - 1) & 15));
    }
    return !bad;
}

int audit_chain_init(struct audit_chain *chain, const char id[AUDIT_CHAIN_LENGTH + 1])
{
    chain->context = EVP_MD_CTX_new();
    chain->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL); /* once: the implicit fetch would cost 200 ns a line */
    bool good = chain->context && chain->sha256 && EVP_DigestInit_ex(chain->context, chain->sha256, NULL) == 1 &&
                audit_chain_restart(chain, id);
    if (good)
        return GUARD_OK;
    audit_chain_destroy(chain);
    return GUARD_ERR_CRYPTO;
}

void audit_chain_destroy(struct audit_chain *chain)
{
    EVP_MD_CTX_free(chain->context);
    EVP_MD_free(chain->sha256);
    chain->context = NULL;
    chain->sha256 = NULL;
}

/* SHA-256 of two pieces. */
static bool digest(struct audit_chain *chain, const void *first, size_t first_length, const void *second,
                   size_t second_length, unsigned char out[AUDIT_HASH_SIZE])
{
    unsigned char result[EVP_MAX_MD_SIZE];
    if (EVP_DigestInit_ex2(chain->context, NULL, NULL) != 1 ||
        EVP_DigestUpdate(chain->context, first, first_length) != 1 ||
        EVP_DigestUpdate(chain->context, second, second_length) != 1 ||
        EVP_DigestFinal_ex(chain->context, result, NULL) != 1)
        return false;
    memcpy(out, result, AUDIT_HASH_SIZE);
    return true;
}

bool audit_chain_restart(struct audit_chain *chain, const char id[AUDIT_CHAIN_LENGTH + 1])
{
    static const char origin[] = "mosquitto-audit-v1\n";
    return digest(chain, origin, sizeof origin - 1, id, AUDIT_CHAIN_LENGTH, chain->head);
}

bool audit_chain_step(struct audit_chain *chain, const char *body, size_t length)
{
    return digest(chain, chain->head, AUDIT_HASH_SIZE, body, length, chain->head);
}

bool audit_chain_digest(struct audit_chain *chain, const void *bytes, size_t length, unsigned char out[AUDIT_HASH_SIZE])
{
    return digest(chain, bytes, length, "", 0, out);
}

size_t audit_checkpoint_text(const struct audit_checkpoint *c, char out[AUDIT_CHECKPOINT_TEXT_SIZE])
{
    int length = snprintf(
        out, AUDIT_CHECKPOINT_TEXT_SIZE, "mosquitto-audit-v1\n%.12s\n%llu\n%llu\n%.64s\n%.64s\n%.40s\n", c->chain,
        (unsigned long long)c->number, (unsigned long long)c->last_sequence, c->head, c->previous, c->time);
    return (size_t)length;
}
