/* Certificates as credentials: every kind of odd certificate, mapping and answer of the deny list. */
#include "auth/certificate.h"
#include "tests/unit/certificate/certificate_maker.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UTF8 V_ASN1_UTF8STRING
#define CN(text)                          \
    {                                     \
        NID_commonName, UTF8, text, -1, 0 \
    }
#define OU(text)                                      \
    {                                                 \
        NID_organizationalUnitName, UTF8, text, -1, 0 \
    }
#define NAMES(...)              \
    (const struct maker_name[]) \
    {                           \
        __VA_ARGS__,            \
        {                       \
            0                   \
        }                       \
    }
#define SANS(...)              \
    (const struct maker_san[]) \
    {                          \
        __VA_ARGS__,           \
        {                      \
            0                  \
        }                      \
    }
#define DNS(text)         \
    {                     \
        GEN_DNS, text, -1 \
    }
#define URI(text)         \
    {                     \
        GEN_URI, text, -1 \
    }
#define EMAIL(text)         \
    {                       \
        GEN_EMAIL, text, -1 \
    }
#define UPN(text)               \
    {                           \
        GEN_OTHERNAME, text, -1 \
    }
#define MISMATCH GUARD_REASON_CERT_IDENTITY_MISMATCH
#define REVOKED  GUARD_REASON_CERT_REVOKED

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

static struct auth_certificate_config *config_of(const char *text)
{
    struct auth_certificate_config *config;
    struct guard_error err = {0};
    if (auth_certificate_config_parse(text, &config, &err) != GUARD_OK)
        fail_msg("%s: %u: %s", text, err.column, err.text);
    return config;
}

/* Verifies with the mappings of text; the identity or NULL. */
static struct guard_identity *verify(const char *text, const void *certificate, int64_t now, enum guard_reason *reason)
{
    struct auth_certificate_config *config = config_of(text);
    struct auth_certificate_request request = {.certificate = certificate, .now = now};
    struct guard_identity *identity;
    struct guard_error why = {0};
    *reason = auth_certificate_verify(config, &request, &identity, &why);
    assert_int_equal(ERR_peek_error(), 0);
    assert_true((identity != NULL) == (*reason == GUARD_REASON_NONE));
    assert_true((why.text[0] != '\0') == (*reason != GUARD_REASON_NONE));
    auth_certificate_config_free(&config);
    return identity;
}

struct row {
    const char *what, *mapping;
    struct maker_spec spec;
    enum guard_reason reason;
    const char *username; /* with GUARD_REASON_NONE */
};

static const char spiffe[] = "san.uri:spiffe://example.org/tenant/{tenant}/device/{device}={tenant}-{device}";
static const char nul_cn[] = "admin\0.evil";
static const char nul_dns[] = "admin.example\0.evil";

/* Certificates by their subject. */
static const struct row subjects[] = {
    {"a CN", "cn", {.subject = NAMES(CN("dev1"))}, 0, "dev1"},
    {"no CN", "cn", {.subject = NAMES(OU("x"))}, MISMATCH, NULL},
    {"no subject", "cn", {.subject = NULL}, MISMATCH, NULL},
    {"two CNs", "cn", {.subject = NAMES(CN("dev1"), CN("admin"))}, MISMATCH, NULL},
    {"two equal CNs", "cn", {.subject = NAMES(CN("dev1"), CN("dev1"))}, MISMATCH, NULL},
    {"two CNs in one RDN",
     "cn",
     {.subject = NAMES(CN("dev1"), {NID_commonName, UTF8, "admin", -1, 1})},
     MISMATCH,
     NULL},
    {"multi-valued RDN",
     "cn",
     {.subject = NAMES(OU("x"), {NID_serialNumber, V_ASN1_PRINTABLESTRING, "77", -1, 0},
                       {NID_commonName, UTF8, "dev1", -1, 1})},
     0,
     "dev1"},
    {"NUL in CN", "cn", {.subject = NAMES({NID_commonName, UTF8, nul_cn, sizeof nul_cn - 1, 0})}, MISMATCH, NULL},
    {"NUL in CN, then a good source",
     "cn ; san.dns",
     {.subject = NAMES({NID_commonName, UTF8, nul_cn, sizeof nul_cn - 1, 0}), .san = SANS(DNS("dev1"))},
     MISMATCH,
     NULL},
    {"empty CN", "cn", {.subject = NAMES({NID_commonName, UTF8, "", 0, 0})}, MISMATCH, NULL},
    {"BMPString", "cn", {.subject = NAMES({NID_commonName, V_ASN1_BMPSTRING, "\0d\0\xe9\0v", 6, 0})}, 0, "d\xc3\xa9v"},
    {"BMPString with NUL",
     "cn",
     {.subject = NAMES({NID_commonName, V_ASN1_BMPSTRING, "\0d\0\0", 4, 0})},
     MISMATCH,
     NULL},
    {"UniversalString",
     "cn",
     {.subject = NAMES({NID_commonName, V_ASN1_UNIVERSALSTRING, "\0\0\0d\0\x01\xf6\x00", 8, 0})},
     0,
     "d\xf0\x9f\x98\x80"},
    {"T61String", "cn", {.subject = NAMES({NID_commonName, V_ASN1_T61STRING, "d\xe9v", 3, 0})}, 0, "d\xc3\xa9v"},
    {"topic syntax in CN", "cn", {.subject = NAMES(CN("a/b"))}, MISMATCH, NULL},
    {"wildcard in CN", "cn", {.subject = NAMES(CN("+"))}, MISMATCH, NULL},
    {"leading $", "cn", {.subject = NAMES(CN("$SYS"))}, MISMATCH, NULL},
    {"outer space", "cn", {.subject = NAMES(CN(" dev1"))}, MISMATCH, NULL},
    {"bidi mark",
     "cn",
     {.subject = NAMES(CN("dev\xe2\x80\xae"
                          "1"))},
     MISMATCH,
     NULL},
    {"first OU", "ou[1]", {.subject = NAMES(OU("a"), OU("b"), CN("c"))}, 0, "a"},
    {"second OU", "ou[2]", {.subject = NAMES(OU("a"), OU("b"), CN("c"))}, 0, "b"},
    {"third of two OUs", "ou[3]", {.subject = NAMES(OU("a"), OU("b"), CN("c"))}, MISMATCH, NULL},
    {"one OU of two", "ou", {.subject = NAMES(OU("a"), OU("b"))}, MISMATCH, NULL},
    {"subject, escaped =", "subject:OU\\=x,CN\\={device}", {.subject = NAMES(CN("dev1"), OU("x"))}, 0, "dev1"},
    {"subject, comma in the value",
     "subject:OU\\=x,CN\\={device}",
     {.subject = NAMES(CN("dev1,OU=y"), OU("x"))},
     MISMATCH,
     NULL},
    {"serial", "serial", {.subject = NAMES(CN("x")), .serial_hex = "00ABCDEF"}, 0, "ABCDEF"},
    {"CN pattern",
     "cn:{device}.{site}.example={site}:{device}",
     {.subject = NAMES(CN("d1.berlin.example"))},
     0,
     "berlin:d1"},
    {"CN pattern, a segment more",
     "cn:{device}.{site}.example={device}",
     {.subject = NAMES(CN("a.d1.berlin.example"))},
     MISMATCH,
     NULL},
    {"CN pattern is anchored", "cn:dev-{id}", {.subject = NAMES(CN("xdev-1"))}, MISMATCH, NULL},
    {"CN pattern in a segment", "cn:dev-{id}-x", {.subject = NAMES(CN("dev-7-9-x"))}, 0, "7-9"},
    {"CN pattern, empty capture", "cn:dev-{id}", {.subject = NAMES(CN("dev-"))}, MISMATCH, NULL},
    {"fixed CN", "cn:gateway", {.subject = NAMES(CN("gateway"))}, 0, "gateway"},
    {"fixed CN, another", "cn:gateway", {.subject = NAMES(CN("gateway2"))}, MISMATCH, NULL},
    {"the second mapping", "san.dns ; cn", {.subject = NAMES(CN("dev1"))}, 0, "dev1"},
    {"the first that fits decides", "cn:dev{x} ; cn", {.subject = NAMES(CN("dev1"))}, 0, "1"},
    {"capture named username", "cn:{username}.{site}", {.subject = NAMES(CN("a.b"))}, 0, "a"},
};

/* Certificates by their alternative names. */
static const struct row alternatives[] = {
    {"DNS", "san.dns", {.san = SANS(DNS("dev1.example"))}, 0, "dev1.example"},
    {"DNS pattern", "san.dns:{device}.{site}.example={device}", {.san = SANS(DNS("d1.berlin.example"))}, 0, "d1"},
    {"two DNS", "san.dns", {.san = SANS(DNS("a.example"), DNS("b.example"))}, MISMATCH, NULL},
    {"two DNS, one fits", "san.dns:{device}.example", {.san = SANS(DNS("d1.example"), DNS("d1.other"))}, 0, "d1"},
    {"two DNS, both fit",
     "san.dns:{device}.example",
     {.san = SANS(DNS("d1.example"), DNS("d2.example"))},
     MISMATCH,
     NULL},
    {"wildcard DNS", "san.dns", {.san = SANS(DNS("*.example"))}, MISMATCH, NULL},
    {"wildcard DNS, pattern", "san.dns:{device}.example", {.san = SANS(DNS("*.example"))}, MISMATCH, NULL},
    {"NUL in DNS", "san.dns", {.san = SANS({GEN_DNS, nul_dns, sizeof nul_dns - 1})}, MISMATCH, NULL},
    {"NUL in another DNS",
     "san.dns:{device}.example",
     {.san = SANS(DNS("d1.example"), {GEN_DNS, nul_dns, sizeof nul_dns - 1})},
     MISMATCH,
     NULL},
    {"8-bit DNS", "san.dns", {.san = SANS(DNS("d\xc3\xa9v.example"))}, MISMATCH, NULL},
    {"empty label", "san.dns", {.san = SANS(DNS("a..example"))}, MISMATCH, NULL},
    {"e-mail", "san.email:{who}@example.org", {.san = SANS(EMAIL("a.b@example.org"))}, 0, "a.b"},
    {"e-mail of another domain",
     "san.email:{who}@example.org",
     {.san = SANS(EMAIL("a@evil@example.org"))},
     MISMATCH,
     NULL},
    {"UPN", "san.upn:{who}@corp.example", {.san = SANS(UPN("j\xc3\xbcrgen@corp.example"))}, 0, "j\xc3\xbcrgen"},
    {"UPN, whole", "san.upn", {.san = SANS(UPN("u1"))}, 0, "u1"},
    {"no SAN", "san.upn", {.subject = NAMES(CN("x"))}, MISMATCH, NULL},
    {"an IP address only", "san.dns", {.san = SANS({GEN_IPADD, "\x7f\0\0\x01", 4})}, MISMATCH, NULL},
    {"all kinds",
     "san.email",
     {.san = SANS(DNS("a.example"), URI("urn:a"), EMAIL("m@example.org"), UPN("u@example"),
                  {GEN_IPADD, "\x7f\0\0\x01", 4})},
     0,
     "m@example.org"},
    {"SAN twice", "cn", {.subject = NAMES(CN("x")), .san = SANS(DNS("a")), .san_twice = 1}, MISMATCH, NULL},
    {"malformed SAN",
     "cn",
     {.subject = NAMES(CN("x")), .san_der = "\x30\x09\x82", .san_der_length = 3},
     MISMATCH,
     NULL},
    {"URN", "san.uri:urn:dev:{id}", {.san = SANS(URI("urn:dev:77"))}, 0, "77"},
    {"a URI as it is cannot be a name", "san.uri", {.san = SANS(URI("https://a/b"))}, MISMATCH, NULL},
    {"SPIFFE", spiffe, {.san = SANS(URI("spiffe://example.org/tenant/t1/device/d.7"))}, 0, "t1-d.7"},
    {"SPIFFE, two URIs",
     spiffe,
     {.san = SANS(URI("spiffe://example.org/tenant/t1/device/d7"), URI("urn:x"))},
     MISMATCH,
     NULL},
    {"SPIFFE and DNS", spiffe, {.san = SANS(DNS("a.b"), URI("spiffe://example.org/tenant/t1/device/d7"))}, 0, "t1-d7"},
    {"SPIFFE, other domain", spiffe, {.san = SANS(URI("spiffe://example.com/tenant/t1/device/d7"))}, MISMATCH, NULL},
    {"SPIFFE, upper-case domain",
     "san.uri:spiffe://{domain}/{x}={x}",
     {.san = SANS(URI("spiffe://Example.org/d7"))},
     MISMATCH,
     NULL},
    {"SPIFFE, upper-case scheme", "san.uri:SPIFFE://e/{x}", {.san = SANS(URI("SPIFFE://e/d7"))}, MISMATCH, NULL},
    {"SPIFFE, a dot segment", spiffe, {.san = SANS(URI("spiffe://example.org/tenant/../device/d7"))}, MISMATCH, NULL},
    {"SPIFFE, an empty segment", spiffe, {.san = SANS(URI("spiffe://example.org/tenant//device/d7"))}, MISMATCH, NULL},
    {"SPIFFE, percent", spiffe, {.san = SANS(URI("spiffe://example.org/tenant/t1/device/d%2f7"))}, MISMATCH, NULL},
    {"SPIFFE, slash at the end",
     spiffe,
     {.san = SANS(URI("spiffe://example.org/tenant/t1/device/d7/"))},
     MISMATCH,
     NULL},
    {"SPIFFE, query", spiffe, {.san = SANS(URI("spiffe://example.org/tenant/t1/device/d7?x"))}, MISMATCH, NULL},
    {"SPIFFE, port", "san.uri:spiffe://e:1/{x}", {.san = SANS(URI("spiffe://e:1/d7"))}, MISMATCH, NULL},
    {"SPIFFE, no path", "san.uri:spiffe:{x}", {.san = SANS(URI("spiffe://example.org"))}, MISMATCH, NULL},
};

/* Certificates by what they may be used for, and when. */
static const struct row uses[] = {
    {"a CA", "cn", {.subject = NAMES(CN("x")), .basic_constraints = "CA:TRUE"}, MISMATCH, NULL},
    {"not a CA", "cn", {.subject = NAMES(CN("x")), .basic_constraints = "CA:FALSE"}, 0, "x"},
    {"client EKU", "cn", {.subject = NAMES(CN("x")), .extended_key_usage = "clientAuth"}, 0, "x"},
    {"both EKUs", "cn", {.subject = NAMES(CN("x")), .extended_key_usage = "serverAuth,clientAuth"}, 0, "x"},
    {"server EKU only", "cn", {.subject = NAMES(CN("x")), .extended_key_usage = "serverAuth"}, MISMATCH, NULL},
    {"any EKU only", "cn", {.subject = NAMES(CN("x")), .extended_key_usage = "anyExtendedKeyUsage"}, MISMATCH, NULL},
    {"signing KU", "cn", {.subject = NAMES(CN("x")), .key_usage = "digitalSignature"}, 0, "x"},
    {"agreement KU only", "cn", {.subject = NAMES(CN("x")), .key_usage = "keyAgreement"}, MISMATCH, NULL},
    {"expired", "cn", {.subject = NAMES(CN("x")), .not_after = MAKER_NOW - 1}, REVOKED, NULL},
    {"its last second", "cn", {.subject = NAMES(CN("x")), .not_after = MAKER_NOW}, 0, "x"},
    {"its first second", "cn", {.subject = NAMES(CN("x")), .not_before = MAKER_NOW}, 0, "x"},
    {"not yet valid", "cn", {.subject = NAMES(CN("x")), .not_before = MAKER_NOW + 1}, REVOKED, NULL},
    {"valid until 2049 and beyond", "cn", {.subject = NAMES(CN("x")), .not_after = INT64_C(4102444800)}, 0, "x"},
    {"negative serial", "cn", {.subject = NAMES(CN("x")), .serial_hex = "-80"}, 0, "x"},
    {"serial of 20 octets",
     "serial",
     {.serial_hex = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"},
     0,
     "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"},
    {"serial of 21 octets",
     "cn",
     {.subject = NAMES(CN("x")), .serial_hex = "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"},
     MISMATCH,
     NULL},
    {"issuer by name", "cn \"issuer=O=Example,CN=Plant CA\"", {.subject = NAMES(CN("x"))}, 0, "x"},
    {"another issuer by name", "cn issuer=\"O=Example,CN=Other CA\"", {.subject = NAMES(CN("x"))}, MISMATCH, NULL},
    {"issuers tell mappings apart",
     "cn:{x} issuer=\"O=Example,CN=Other CA\" ; cn:d{y} issuer=\"O=Example,CN=Plant CA\"",
     {.subject = NAMES(CN("d1"))},
     0,
     "1"},
};

static void check_row(const struct row *row)
{
    enum guard_reason reason;
    X509 *certificate = maker_certificate(&ca, &row->spec);
    struct guard_identity *identity = verify(row->mapping, certificate, MAKER_NOW, &reason);
    if (reason != row->reason)
        fail_msg("%s: %s instead of %s", row->what, guard_reason_name(reason), guard_reason_name(row->reason));
    if (row->username && strcmp(identity->username, row->username) != 0)
        fail_msg("%s: user name '%s' instead of '%s'", row->what, identity->username, row->username);
    guard_identity_free(&identity);
    X509_free(certificate);
}

#define CHECK_ROWS(rows)                                       \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++) \
    check_row(&(rows)[i])

static void test_subjects(void **state)
{
    (void)state;
    CHECK_ROWS(subjects);
}

static void test_alternatives(void **state)
{
    (void)state;
    CHECK_ROWS(alternatives);
}

static void test_uses(void **state)
{
    (void)state;
    CHECK_ROWS(uses);
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

/* The name of a CA is easily had by another one; its signature is not. */
static void test_issuer_file(void **state)
{
    (void)state;
    char path[] = "/tmp/guard-issuer-XXXXXX", text[128];
    struct maker_ca twin;
    enum guard_reason reason;
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
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

static void test_serial_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text, *serial; /* NULL = refused */
    } rows[] = {
        {"0a:FF", "AFF"},
        {"0xaff", "AFF"},
        {"00", "0"},
        {"0", "0"},
        {"", NULL},
        {"0x", NULL},
        {":1", NULL},
        {"1:", NULL},
        {"1::2", NULL},
        {"-1", NULL},
        {"g", NULL},
        {"0000000000000000000000000000000000000000000000001", "1"},
        {"11111111111111111111111111111111111111111", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[41];
        int rc = auth_certificate_serial_parse(rows[i].text, out);
        if ((rc == GUARD_OK) != (rows[i].serial != NULL) || (!rc && strcmp(out, rows[i].serial) != 0))
            fail_msg("'%s' became %d '%s'", rows[i].text, rc, rc ? "" : out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subjects),       cmocka_unit_test(test_alternatives),
        cmocka_unit_test(test_uses),           cmocka_unit_test(test_missing),
        cmocka_unit_test(test_identity),       cmocka_unit_test(test_unusable_fact_is_there_without_value),
        cmocka_unit_test(test_too_many_names), cmocka_unit_test(test_deny_list),
        cmocka_unit_test(test_issuer_file),    cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_serial_parse),
    };
    return cmocka_run_group_tests(tests, make_cas, free_cas);
}
