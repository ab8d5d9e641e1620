/* The pool of core/apart.c, which builds without NDEBUG leave out: compiled in here, whatever the build. */
#define GUARD_APART_POOL 1
#include "core/apart.c" /* NOLINT(bugprone-suspicious-include) */

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BLOCKS 512

struct held {
    unsigned char *memory;
    size_t size;
    unsigned char mark;
};

static unsigned draw(unsigned *state, unsigned below)
{
    *state = *state * 1103515245 + 12345;
    return (*state >> 8) % below;
}

static void assert_filled(const struct held *held)
{
    for (size_t i = 0; i < held->size; i++)
        assert_int_equal(held->memory[i], held->mark);
}

static size_t draw_size(unsigned *state)
{
    return draw(state, 20) ? draw(state, 1500) : draw(state, 40000); /* now and then one that is malloc's */
}

/* Blocks of all sizes come and go; each is zeroed, aligned, and nobody else's. */
static void blocks_do_not_overlap(void **unused)
{
    (void)unused;
    static struct held held[BLOCKS];
    unsigned state = 1;
    for (int i = 0; i < 100000; i++) {
        struct held *h = &held[draw(&state, BLOCKS)];
        if (h->memory)
            assert_filled(h);
        guard_apart_drop(&h->memory);
        assert_null(h->memory);
        *h = (struct held){.size = draw_size(&state), .mark = (unsigned char)(1 + draw(&state, 255))};
        h->memory = guard_apart_alloc(h->size);
        assert_non_null(h->memory);
        assert_int_equal((uintptr_t)h->memory % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < h->size; k++)
            assert_int_equal(h->memory[k], 0);
        memset(h->memory, h->mark, h->size);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (held[i].memory)
            assert_filled(&held[i]);
        guard_apart_free(held[i].memory);
    }
}

static void what_is_freed_is_wiped_and_used_again(void **unused)
{
    (void)unused;
    char *secret = guard_apart_copy("a secret that is longer than a pointer");
    assert_string_equal(secret, "a secret that is longer than a pointer");
    guard_apart_free(secret);
    for (size_t i = sizeof(void *); i < 39; i++) /* the pool's memory stays readable; its link comes first */
        assert_int_equal(secret[i], 0);
    char *again = guard_apart_alloc(39);
    assert_ptr_equal(again, secret);
    guard_apart_free(again);
    guard_apart_free(NULL);
}

static void too_much_is_refused(void **unused)
{
    (void)unused;
    assert_null(guard_apart_alloc(SIZE_MAX));
    assert_null(guard_apart_alloc(SIZE_MAX - HEADER));
}

static void *take_and_give(void *seed)
{
    unsigned state = (unsigned)(uintptr_t)seed;
    struct held held[64] = {0};
    for (int i = 0; i < 40000; i++) {
        struct held *h = &held[draw(&state, 64)];
        for (size_t k = 0; h->memory && k < h->size; k++)
            if (h->memory[k] != h->mark)
                return h->memory; /* not NULL: something is wrong */
        guard_apart_free(h->memory);
        *h = (struct held){guard_apart_alloc(200), 200, (unsigned char)(uintptr_t)seed};
        if (!h->memory)
            return seed;
        memset(h->memory, h->mark, h->size);
    }
    for (int i = 0; i < 64; i++)
        guard_apart_free(held[i].memory);
    return NULL;
}

static void threads_share_it(void **unused)
{
    (void)unused;
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0); /* NOLINT */
    for (int i = 0; i < 4; i++) {
        void *trouble = NULL;
        pthread_join(threads[i], &trouble);
        assert_null(trouble);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_do_not_overlap),
        cmocka_unit_test(what_is_freed_is_wiped_and_used_again),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
