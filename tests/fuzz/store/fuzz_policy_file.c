/* The policy file's reader, the client table it feeds, and the writer: whatever was read must read back the same. */
#include "core/clients.h"
#include "store/policy_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
    if (!truth)
        abort();
}

static void expect_same(const struct guard_policy_text *a, const struct guard_policy_text *b)
{
    expect(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        expect(a->lines[i].section == b->lines[i].section);
        expect(strcmp(a->lines[i].name, b->lines[i].name) == 0);
        expect(strcmp(a->lines[i].field, b->lines[i].field) == 0);
        expect(strcmp(a->lines[i].value, b->lines[i].value) == 0);
    }
}

static void build_clients(const struct guard_policy_text *text)
{
    struct guard_problems problems = {0};
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    int rc = guard_clients_builder_put_text(builder, text, &problems);
    expect((rc == GUARD_OK) == (problems.errors == 0));
    struct guard_clients *clients = guard_clients_builder_finish(&builder);
    guard_clients_unref(&clients);
    guard_problems_free(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard_policy_text text = {0}, again = {0};
    struct guard_problems problems = {0};
    struct guard_buffer file = {0};
    int rc = guard_policy_file_parse("fuzz", (const char *)data, size, &text, &problems);
    expect((rc == GUARD_OK) == (problems.errors == 0));
    if (rc == GUARD_OK) {
        build_clients(&text);
        expect(guard_policy_file_write(&text, &file, NULL) == GUARD_OK);
        expect(guard_policy_file_parse("again", file.length ? file.data : "", file.length, &again, NULL) == GUARD_OK);
        expect_same(&text, &again);
    }
    guard_buffer_free(&file);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
    guard_policy_text_free(&again);
    return 0;
}
