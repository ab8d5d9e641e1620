/*
 * Compiled rules as octets, of this very engine but otherwise anything: refused, or loaded without a look outside. That
 * the nodes form a tree is not checked (acl/image.h), so nothing is asked of what was loaded. The input is patches
 * (offset as 4 octets, little-endian, and what to XOR there) to a good image; behind an odd octet the length.
 */
#include "acl/acl.h"
#include "acl/image.h"

#include "core/buffer.h"
#include "core/policy_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STAMP 92 /* octets that say of which engine it is */

static struct guard_buffer good;

static void expect(int truth)
{
    if (!truth)
        abort();
}

static int put(void *context, const void *bytes, size_t length)
{
    guard_buffer_append(context, bytes, length);
    return GUARD_OK;
}

static void make_good(void)
{
    static const char *const rules[] = {"allow publish devices/${username}/data",
                                        "allow all sites/${jwt.sites|any}/+/status qos<=1 retain=no",
                                        "deny publish dev-${client_id}-x/# priority=5",
                                        "allow subscribe ** from=10.0.0.0/8,192.168.0.0/16",
                                        "allow publish a-label-of-more-than-thirty-six-octets-in-the-pool/x",
                                        "deny receive devices/#",
                                        "allow publish devices/# priority=-3"};
    struct guard_policy_text text = {0};
    struct acl_policy *policy;
    char field[] = "a";
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++, field[0]++) {
        struct guard_policy_line line = {
            .name = i % 2 ? "role" : "other", .place = "fuzz", .field = field, .value = rules[i]};
        expect(guard_policy_text_add(&text, &line) == GUARD_OK);
    }
    expect(acl_policy_compile(&text, NULL, &policy, NULL) == GUARD_OK);
    expect(acl_policy_write(policy, &(struct guard_sink){put, &good}) == GUARD_OK);
    acl_policy_release(policy);
    guard_policy_text_free(&text);
}

static void patch(struct guard_slab *slab, const uint8_t *data, size_t size)
{
    for (; size >= 5; data += 5, size -= 5) {
        uint32_t at = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        at = STAMP + at % ((uint32_t)good.length - STAMP);
        if (at < slab->size)
            slab->bytes[at] = (char)(slab->bytes[at] ^ data[4]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct acl_policy *policy;
    if (!good.length)
        make_good();
    size_t length = size % 5 == 2 ? good.length * data[size - 1] / 256 : good.length;
    struct guard_slab *slab = guard_slab_new(length, false); /* of its own, so that ASan sees its ends */
    expect(slab != NULL);
    memcpy(slab->bytes, good.data, length);
    patch(slab, data, size);
    int rc = acl_policy_load(slab, length, &policy);
    expect((rc == GUARD_OK) == (policy != NULL) && rc != GUARD_ERR_UNSUPPORTED);
    expect(rc == GUARD_OK || size); /* without a patch it is good */
    if (policy)
        expect(acl_policy_memory(policy) > 0 && acl_policy_rule_count(policy) < 1000000);
    acl_policy_release(policy);
    guard_slab_unref(&slab);
    return 0;
}
