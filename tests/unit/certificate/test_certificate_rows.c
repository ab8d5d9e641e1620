/* Certificates of every odd kind against a mapping: what they are taken for, or why they are refused. */
#include "tests/unit/certificate/certificate_check.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <string.h>

static struct maker_ca ca;

static int make_ca(void **state)
{
    (void)state;
    maker_ca_make(&ca, "Plant CA");
    return 0;
}

static int free_ca(void **state)
{
    (void)state;
    maker_ca_free(&ca);
    return 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_alternatives),
        cmocka_unit_test(test_uses),
    };
    return cmocka_run_group_tests(tests, make_ca, free_ca);
}
