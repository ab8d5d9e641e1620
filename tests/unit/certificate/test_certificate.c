/* What a certificate's identity holds, the deny list, pinned issuers, and mappings that cannot be parsed. */
#include "tests/temporary.h"
#include "tests/unit/certificate/certificate_check.h"

// clang-format off
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char spiffe[] = "san.uri:spiffe://example.org/tenant/{tenant}/device/{device}={tenant}-{device}";

static struct maker_ca ca, other_ca;

static int make_cas(void **state)
{
    (void)state;
    maker_ca_make(&ca, "Plant CA");
    maker_ca_make(&other_ca, "Other CA");
    return 0;
}

static int free_cas(void **state)
{
    (void)state;
    maker_ca_free(&ca);
    maker_ca_free(&other_ca);
    return 0;
}

static void test_missing(void **state)
{
    (void)state;
    enum guard_reason reason;
    assert_null(verify("cn", NULL, MAKER_NOW, &reason));
    assert_int_equal(reason, GUARD_REASON_CERT_MISSING);
}

static const char *first_value(const struct guard_identity *identity, const char *name, size_t count)
{
    const struct guard_attribute *attribute = guard_identity_attribute(identity, name);
    if (!attribute)
        fail_msg("there is no attribute %s", name);
    assert_int_equal(attribute->count, count);
    return count ? attribute->values[0] : NULL;
}

static void test_identity(void **state)
{
    (void)state;
    const struct maker_spec spec = {
        .subject = NAMES({NID_countryName, V_ASN1_PRINTABLESTRING, "DE", -1, 0},
                         {NID_organizationName, UTF8, "W\xc3\xbcrth", -1, 0}, OU("floor 1"), OU("floor 2"), CN("d7")),
        .san = SANS(DNS("d7.example"), DNS("d7b.example"), URI("spiffe://example.org/tenant/t1/device/d7"),
                    EMAIL("d7@example.org"), UPN("d7@corp")),
        .serial_hex = "0A1B"};
    enum guard_reason reason;
    X509 *certificate = maker_certificate(&ca, &spec);
    struct guard_identity *identity = verify(spiffe, certificate, MAKER_NOW, &reason);
    assert_non_null(identity);
    assert_string_equal(identity->username, "t1-d7");
    assert_int_equal(identity->method, GUARD_AUTH_CERTIFICATE);
    assert_true(identity->not_after == MAKER_NOW + 86400 && identity->expires_at == identity->not_after);
    assert_true(identity->issued_at == MAKER_NOW - 86400);
    assert_string_equal(identity->subject, "CN=d7,OU=floor 2,OU=floor 1,O=W\\C3\\BCrth,C=DE");
    assert_string_equal(identity->issuer, "O=Example,CN=Plant CA");
    assert_string_equal(identity->certificate_serial, "A1B");
    assert_string_equal(first_value(identity, "cert.cn", 1), "d7");
    assert_string_equal(first_value(identity, "cert.ou", 2), "floor 1");
    assert_string_equal(first_value(identity, "cert.o", 1), "W\xc3\xbcrth");
    assert_string_equal(first_value(identity, "cert.c", 1), "DE");
    assert_string_equal(first_value(identity, "cert.serial", 1), "A1B");
    assert_string_equal(first_value(identity, "cert.issuer.cn", 1), "Plant CA");
    assert_string_equal(first_value(identity, "cert.san.dns", 2), "d7.example");
    assert_string_equal(first_value(identity, "cert.san.uri", 1), "spiffe://example.org/tenant/t1/device/d7");
    assert_string_equal(first_value(identity, "cert.san.email", 1), "d7@example.org");
    assert_string_equal(first_value(identity, "cert.san.upn", 1), "d7@corp");
    assert_string_equal(first_value(identity, "attr.tenant", 1), "t1");
    assert_string_equal(first_value(identity, "attr.device", 1), "d7");
    assert_string_equal(first_value(identity, "cert.sha256", 1), identity->certificate_sha256);
    assert_int_equal(strlen(first_value(identity, "cert.spki.sha256", 1)), 64);

    uint8_t digest[32];
    char hex[65];
    assert_int_equal(auth_certificate_sha256(certificate, digest), GUARD_OK);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02X", digest[i]);
    assert_string_equal(hex, identity->certificate_sha256);
    guard_identity_free(&identity);
    auth_certificate_release(certificate);
}

static void test_unusable_fact_is_there_without_value(void **state)
{
    (void)state;
    const struct maker_spec spec = {.subject = NAMES(CN("d7"), {NID_organizationName, UTF8, "a\0b", 3, 0})};
    enum guard_reason reason;
    X509 *certificate = maker_certificate(&ca, &spec);
    struct guard_identity *identity = verify("cn", certificate, MAKER_NOW, &reason);
    assert_non_null(identity);
    first_value(identity, "cert.o", 0);
    assert_null(guard_identity_attribute(identity, "cert.ou"));
    guard_identity_free(&identity);
    X509_free(certificate);
}

static void test_too_many_names(void **state)
{
    (void)state;
    struct maker_san san[66] = {0};
    for (size_t i = 0; i < 65; i++)
        san[i] = (struct maker_san)DNS("a.example");
    enum guard_reason reason;
    X509 *certificate = maker_certificate(&ca, &(struct maker_spec){.subject = NAMES(CN("d7")), .san = san});
    assert_null(verify("san.dns:{x}.other", certificate, MAKER_NOW, &reason));
    struct guard_identity *identity = verify("cn", certificate, MAKER_NOW, &reason);
    first_value(identity, "cert.san.dns", 0);
    guard_identity_free(&identity);
    X509_free(certificate);
}

struct deny_list {
    enum guard_reason answer;
    char issuer[128], serial[64], spki[80], sha256[80], username[80];
};

static enum guard_reason look_up(void *context, const struct auth_certificate_query *query)
{
    struct deny_list *list = context;
    snprintf(list->issuer, sizeof list->issuer, "%s", query->issuer);
    snprintf(list->serial, sizeof list->serial, "%s", query->serial);
    snprintf(list->spki, sizeof list->spki, "%s", query->spki_sha256);
    snprintf(list->sha256, sizeof list->sha256, "%s", query->sha256);
    snprintf(list->username, sizeof list->username, "%s", query->username);
    assert_true(query->not_before == MAKER_NOW - 86400);
    return list->answer;
}

static void test_deny_list(void **state)
{
    (void)state;
    static const enum guard_reason answers[] = {GUARD_REASON_NONE, REVOKED, GUARD_REASON_STORE_UNAVAILABLE};
    struct auth_certificate_config *config = config_of("cn");
    const struct maker_name subject[] = {CN("d7"), {0}};
    X509 *certificate = maker_certificate(&ca, &(struct maker_spec){.subject = subject, .serial_hex = "-0A"});
    for (size_t i = 0; i < 3; i++) {
        struct deny_list list = {.answer = answers[i]};
        struct auth_certificate_request request = {certificate, MAKER_NOW, look_up, &list};
        struct guard_identity *identity;
        assert_int_equal(auth_certificate_verify(config, &request, &identity, NULL), answers[i]);
        assert_true((identity != NULL) == (answers[i] == GUARD_REASON_NONE));
        assert_string_equal(list.issuer, "O=Example,CN=Plant CA");
        assert_string_equal(list.serial, "A");
        assert_string_equal(list.username, "d7");
        assert_int_equal(strlen(list.spki), 64);
        assert_int_equal(strlen(list.sha256), 64);
        guard_identity_free(&identity);
    }
    X509_free(certificate);
    auth_certificate_config_free(&config);
}

/* The names of the deny list, without any mapping; a serial number that is too long leaves the others. */
static void test_names(void **state)
{
    (void)state;
    static const char long_serial[] = "0102030405060708090A0B0C0D0E0F101112131415";
    const struct maker_name subject[] = {CN("d7"), {0}};
    X509 *certificate = maker_certificate(&ca, &(struct maker_spec){.subject = subject, .serial_hex = "-0A"});
    X509 *odd = maker_certificate(&ca, &(struct maker_spec){.subject = subject, .serial_hex = long_serial});
    struct auth_certificate_names *names, *odd_names;
    enum guard_reason reason;
    assert_int_equal(auth_certificate_names_read(certificate, &names), GUARD_OK);
    assert_int_equal(auth_certificate_names_read(odd, &odd_names), GUARD_OK);
    assert_int_equal(ERR_peek_error(), 0);
    struct guard_identity *identity = verify("cn", certificate, MAKER_NOW, &reason);
    assert_string_equal(names->serial, "A");
    assert_string_equal(names->issuer, "O=Example,CN=Plant CA");
    assert_string_equal(names->sha256, identity->certificate_sha256);
    assert_string_equal(names->spki_sha256, first_value(identity, "cert.spki.sha256", 1));
    assert_string_equal(odd_names->serial, "");
    assert_int_equal(strlen(odd_names->sha256), 64);
    guard_identity_free(&identity);
    auth_certificate_names_free(&names);
    auth_certificate_names_free(&odd_names);
    X509_free(certificate);
    X509_free(odd);
}

/* The name of a CA is easily had by another one; its signature is not. */
static void test_issuer_file(void **state)
{
    (void)state;
    char folder[TEMPORARY_MAX], path[TEMPORARY_MAX + 16], text[TEMPORARY_MAX + 40];
    struct maker_ca twin;
    enum guard_reason reason;
    assert_non_null(temporary_folder(folder, "issuer"));
    snprintf(path, sizeof path, "%s/issuer.pem", folder);
    maker_write_pem(ca.certificate, path);
    snprintf(text, sizeof text, "cn issuer_file=%s", path);
    maker_ca_make(&twin, "Plant CA");
    X509 *good = maker_plain(&ca, "d1"), *forged = maker_plain(&twin, "d1"), *strange = maker_plain(&other_ca, "d1");

    struct guard_identity *identity = verify(text, good, MAKER_NOW, &reason);
    assert_int_equal(reason, GUARD_REASON_NONE);
    guard_identity_free(&identity);
    assert_null(verify(text, forged, MAKER_NOW, &reason));
    assert_int_equal(reason, MISMATCH);
    assert_null(verify(text, strange, MAKER_NOW, &reason));
    assert_int_equal(reason, MISMATCH);
    maker_write_pem(good, path); /* not that of a CA */
    struct auth_certificate_config *config;
    struct guard_error err = {0};
    assert_int_equal(auth_certificate_config_parse(text, &config, &err), GUARD_ERR_INVALID);
    assert_int_equal(err.column, 4);

    X509_free(good);
    X509_free(forged);
    X509_free(strange);
    maker_ca_free(&twin);
    unlink(path);
    rmdir(folder);
}

static void test_bad_configurations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned column;
    } rows[] = {
        {"", 1},
        {"cm", 1},
        {"cn ;", 5},
        {"; cn", 1},
        {"cn: ", 4},
        {"cn:{", 4},
        {"cn:{1a}", 4},
        {"cn:{a b}", 4},
        {"cn:{a}-{b}={a}", 8},
        {"cn:{a}.{a}={a}", 8},
        {"cn:{a}.{b}", 11},
        {"cn:{a}={b}", 8},
        {"cn:{a}=", 8},
        {"cn:=x", 4},
        {"ou[0]", 1},
        {"ou[", 1},
        {"ou[1", 1},
        {"ou[1]x", 1},
        {"ou[65]", 1},
        {"cn issuer", 4},
        {"cn issuer=", 4},
        {"cn issuer=a issuer=b", 13},
        {"cn \"issuer=a", 4},
        {"san.dns:{a}.x ; san.dsn", 17},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct auth_certificate_config *config;
        struct guard_error err = {0};
        if (auth_certificate_config_parse(rows[i].text, &config, &err) == GUARD_OK)
            fail_msg("accepted: %s", rows[i].text);
        assert_null(config);
        if (err.column != rows[i].column || !err.text[0])
            fail_msg("%s: column %u instead of %u (%s)", rows[i].text, err.column, rows[i].column, err.text);
    }
    struct auth_certificate_config *config;
    struct guard_error err = {0};
    /* a file without certificate, and one that is no CA's */
    assert_int_equal(auth_certificate_config_parse("cn issuer_file=CMakeLists.txt", &config, &err), GUARD_ERR_INVALID);
    assert_int_equal(auth_certificate_config_parse("cn issuer_file=/nonexistent/ca.pem", &config, &err),
                     GUARD_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_unusable_fact_is_there_without_value),
        cmocka_unit_test(test_too_many_names),
        cmocka_unit_test(test_deny_list),
        cmocka_unit_test(test_issuer_file),
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, make_cas, free_cas);
}
