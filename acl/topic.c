/* Topic names: cut into levels and judged in one pass (MQTT 5.0 §4.7). */
#include "acl/context.h"
#include "acl/label.h"
#include "core/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>

/* Bits of the 16 octets at text: '/', and those that need a closer look ('+', '#', NUL, not ASCII). */
static inline unsigned scan16(const char *text, unsigned *odd)
{
    __m128i octets = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i wild = _mm_or_si128(_mm_cmpeq_epi8(octets, _mm_set1_epi8('+')), _mm_cmpeq_epi8(octets, _mm_set1_epi8('#')));
    __m128i look = _mm_or_si128(_mm_or_si128(wild, _mm_cmpeq_epi8(octets, _mm_setzero_si128())), octets);
    *odd = (unsigned)_mm_movemask_epi8(look);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(octets, _mm_set1_epi8('/')));
}
#else
static inline unsigned scan16(const char *text, unsigned *odd)
{
    unsigned slashes = 0;
    *odd = 0;
    for (unsigned i = 0; i < 16; i++) {
        unsigned char c = (unsigned char)text[i];
        slashes |= (unsigned)(c == '/') << i;
        *odd |= (unsigned)(c == '+' || c == '#' || c == 0 || c >= 0x80) << i;
    }
    return slashes;
}
#endif

bool acl_topic_is_valid(const char *text, size_t length)
{
    if (!length || length > ACL_TEXT_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '+' || text[i] == '#' || text[i] == '\0')
            return false;
    return guard_utf8_valid(text, length);
}

static inline void add_level(struct acl_topic *topic, uint32_t start, uint32_t end)
{
    struct acl_level *level = &topic->levels[topic->count++];
    level->text = topic->text + start;
    level->length = end - start;
    level->head = acl_head(level->text, level->length);
    level->hash = 0;
}

enum guard_reason acl_topic_load(struct acl_topic *topic, const char *text, size_t length)
{
    uint32_t start = 0, size = (uint32_t)length;
    unsigned odd, seen = 0;
    topic->length = 0;
    topic->serial++;
    topic->text[0] = '\0';
    if (length - 1 >= ACL_TEXT_MAX) /* 0 also */
        return length ? GUARD_REASON_TOPIC_TOO_LONG : GUARD_REASON_TOPIC_INVALID;
    memcpy(topic->text, text, length);
    topic->text[length] = '\0';
    topic->count = 0;
    for (uint32_t at = 0; at < size; at += 16) {
        unsigned slashes = scan16(topic->text + at, &odd), inside = size - at >= 16 ? 0xffff : (1U << (size - at)) - 1;
        seen |= odd & inside;
        for (slashes &= inside; slashes; slashes &= slashes - 1) {
            uint32_t slash = at + (uint32_t)__builtin_ctz(slashes);
            if (topic->count < ACL_LEVELS - 1)
                add_level(topic, start, slash);
            start = slash + 1;
        }
    }
    add_level(topic, start, size);
    if (seen && !acl_topic_is_valid(topic->text, length)) {
        topic->text[0] = '\0';
        return GUARD_REASON_TOPIC_INVALID;
    }
    topic->dollar = *topic->text == '$';
    topic->length = size;
    return GUARD_REASON_NONE;
}
