/* Any mappings (the first line) and any certificate (the rest, in DER). */
#include "auth/certificate.h"
#include "core/identity_rules.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int condition)
{
    if (!condition)
        abort();
}

static void verify(const struct auth_certificate_config *config, const X509 *certificate)
{
    struct auth_certificate_request request = {.certificate = certificate, .now = INT64_C(1800000000)};
    struct guard_identity *identity;
    struct guard_error why = {0};
    enum guard_reason reason = auth_certificate_verify(config, &request, &identity, &why);
    expect((identity != NULL) == (reason == GUARD_REASON_NONE));
    if (identity) {
        expect(guard_identity_acceptable(identity->username, strlen(identity->username)));
        expect(identity->not_after >= request.now);
    } else {
        expect(why.text[0] != '\0');
    }
    guard_identity_free(&identity);
    expect(ERR_peek_error() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const ordinary[] = {"cn", "san.uri:spiffe://{d}/{x}={x}", "subject:{x}",
                                           "ou[2] ; san.upn ; san.email"};
    const uint8_t *line = memchr(data, '\n', size);
    struct auth_certificate_config *config = NULL;
    if (!line)
        return 0;
    char *text = strndup((const char *)data, (size_t)(line - data));
    const unsigned char *der = line + 1;
    X509 *certificate = d2i_X509(NULL, &der, (long)(size - (size_t)(line + 1 - data)));
    ERR_clear_error();
    if (text && !strstr(text, "issuer_file") && auth_certificate_config_parse(text, &config, NULL) == GUARD_OK)
        verify(config, certificate);
    auth_certificate_config_free(&config);
    for (size_t i = 0; certificate && i < sizeof ordinary / sizeof *ordinary; i++) {
        expect(auth_certificate_config_parse(ordinary[i], &config, NULL) == GUARD_OK);
        verify(config, certificate);
        auth_certificate_config_free(&config);
    }
    X509_free(certificate);
    free(text);
    return 0;
}
