/* Memory, the clock, histograms, byte buffers. */
#include "mqload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("mqload: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

void *xrealloc(void *old, size_t n)
{
    void *p = realloc(old, n ? n : 1);

    if (!p)
        die("out of memory");
    return p;
}

char *copy_text(const char *s) /* NULL for an empty or missing one */
{
    return s && *s ? strcpy(xrealloc(NULL, strlen(s) + 1), s) : NULL;
}

int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

void hist_add(struct hist *h, int64_t v)
{
    int e = v >= SUB ? 63 - SUB_BITS - __builtin_clzll((uint64_t)v) : 0;
    int64_t slot = e * SUB + ((v > 0 ? v : 0) >> e);

    h->count[slot < SLOTS ? slot : SLOTS - 1]++;
    h->n++;
    h->sum += (double)v;
    if (v > h->max)
        h->max = v;
}

/* The upper edge of the slot that holds the quantile, never above the maximum. */
int64_t hist_quantile(const struct hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;
    int64_t edge;
    int i = 0, e;

    while (i < SLOTS - 1 && (seen += h->count[i]) <= want)
        i++;
    e = i / SUB > 1 ? i / SUB - 1 : 0;
    edge = ((int64_t)(i - e * SUB + 1) << e) - 1;
    return edge < h->max ? edge : h->max;
}

uint8_t *put(struct buf *b, const void *src, size_t n)
{
    uint8_t *at;

    if (b->off && (b->off == b->len || b->len + n > b->cap)) {
        memmove(b->p, b->p + b->off, b->len - b->off);
        b->len -= b->off;
        b->off = 0;
    }
    if (b->len + n > b->cap) {
        b->cap = (b->len + n) * 2;
        b->p = xrealloc(b->p, b->cap);
    }
    at = b->p + b->len;
    b->len += n;
    return src ? memcpy(at, src, n) : memset(at, 'x', n);
}

void put8(struct buf *b, unsigned v)
{
    put(b, &(uint8_t){(uint8_t)v}, 1);
}

void put16(struct buf *b, unsigned v)
{
    put8(b, v >> 8);
    put8(b, v);
}

void put_text(struct buf *b, const char *s)
{
    size_t n = strlen(s);

    put16(b, (unsigned)n);
    put(b, s, n);
}

void put_header(struct buf *b, unsigned type, size_t remaining)
{
    put8(b, type);
    do {
        put8(b, (unsigned)(remaining & 127) | (remaining > 127 ? 128 : 0));
        remaining >>= 7;
    } while (remaining);
}
