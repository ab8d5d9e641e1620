#include "store/hasher.h"

#include "core/thread.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#define PIECES 64

struct piece {
    const void *bytes; /* NULL: the end */
    size_t length;
};

struct guard_hasher {
    struct guard_sha256 *sha;
    bool threaded;
    pthread_t thread;
    sem_t filled, empty;
    struct piece pieces[PIECES];
    unsigned put; /* of the caller */
};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ; /* a signal came */
}

static void run(void *argument)
{
    struct guard_hasher *hasher = argument;
    for (unsigned at = 0;; at = (at + 1) % PIECES) {
        wait_for(&hasher->filled);
        struct piece piece = hasher->pieces[at];
        if (!piece.bytes)
            return;
        guard_sha256_add(hasher->sha, piece.bytes, piece.length);
        sem_post(&hasher->empty);
    }
}

struct guard_hasher *guard_hasher_start(void)
{
    struct guard_hasher *hasher = calloc(1, sizeof *hasher);
    struct guard_error err;
    if (!hasher || !(hasher->sha = guard_sha256_begin())) {
        free(hasher);
        return NULL;
    }
    sem_init(&hasher->filled, 0, 0);
    sem_init(&hasher->empty, 0, PIECES);
    struct guard_thread thread = {.name = "guard-hash", .run = run, .context = hasher, .wake_fd = GUARD_NO_WAKE_FD};
    hasher->threaded = guard_thread_start(&thread, &hasher->thread, &err) == GUARD_OK;
    return hasher;
}

static void hand_over(struct guard_hasher *hasher, struct piece piece)
{
    wait_for(&hasher->empty);
    hasher->pieces[hasher->put] = piece;
    hasher->put = (hasher->put + 1) % PIECES;
    sem_post(&hasher->filled);
}

void guard_hasher_add(struct guard_hasher *hasher, const void *bytes, size_t length)
{
    if (!hasher->threaded)
        guard_sha256_add(hasher->sha, bytes, length);
    else if (length)
        hand_over(hasher, (struct piece){bytes, length});
}

bool guard_hasher_end(struct guard_hasher **hasher_pointer, uint8_t digest[GUARD_SHA256_SIZE])
{
    struct guard_hasher *hasher = *hasher_pointer;
    if (hasher->threaded) {
        hand_over(hasher, (struct piece){0});
        pthread_join(hasher->thread, NULL);
    }
    bool good = guard_sha256_end(&hasher->sha, digest);
    sem_destroy(&hasher->filled);
    sem_destroy(&hasher->empty);
    free(hasher);
    *hasher_pointer = NULL;
    return good;
}
