#include "audit/line_end.h"

#include <string.h>

#define SEQUENCE_KEY "\"sequence\":"
#define ID_KEY       ",\"id\":\""
#define HASH_KEY     ",\"hash\":\""
#define ACTION_KEY   "\"action\":\""

/* How far from the end of the body the action is found nearly always, and at most. */
#define ACTION_NEAR 128
/* What can stand between the action's name and the sequence number: outcome, reason, duration, start, end, severity. */
#define ACTION_REACH 384

/* The number whose last digit is before end; *start is where it begins. False: no digits, a leading zero or too large.
 */
static bool number_before(const char *line, const char *end, const char **start, uint64_t *value)
{
    const char *at = end;
    while (at > line && at[-1] >= '0' && at[-1] <= '9')
        at--;
    if (at == end || *at == '0' || end - at > 16)
        return false;
    *value = 0;
    for (const char *digit = at; digit < end; digit++)
        *value = *value * 10 + (uint64_t)(*digit - '0');
    *start = at;
    return true;
}

/* Whether text stands right before *at; moves *at to its start. */
static bool step_back(const char *line, const char **at, const char *text, size_t length)
{
    if ((size_t)(*at - line) < length || memcmp(*at - length, text, length) != 0)
        return false;
    *at -= length;
    return true;
}

static const char *find_action(const char *line, size_t body)
{
    for (size_t reach = ACTION_NEAR;; reach = ACTION_REACH) {
        size_t length = body < reach ? body : reach;
        const char *key = memmem(line + body - length, length, ACTION_KEY, sizeof ACTION_KEY - 1);
        if (key || reach == ACTION_REACH)
            return key ? key + sizeof ACTION_KEY - 1 : NULL;
    }
}

bool audit_line_end_parse(const char *line, size_t length, struct audit_line_end *end)
{
    uint64_t in_id;
    if (length < AUDIT_TAIL_LENGTH + 40)
        return false;
    const char *tail = line + length - AUDIT_TAIL_LENGTH, *at = tail;
    end->body = (size_t)(tail - line);
    if (memcmp(tail, HASH_KEY, sizeof HASH_KEY - 1) != 0 || memcmp(line + length - 3, "\"}}", 3) != 0 ||
        !audit_unhex(tail + sizeof HASH_KEY - 1, AUDIT_HASH_SIZE, end->hash))
        return false;
    if (!step_back(line, &at, "\"", 1) || !number_before(line, at, &at, &in_id) || !step_back(line, &at, "-", 1) ||
        at - line < AUDIT_CHAIN_LENGTH)
        return false;
    at -= AUDIT_CHAIN_LENGTH;
    unsigned char octets[AUDIT_CHAIN_LENGTH / 2];
    if (!audit_unhex(at, sizeof octets, octets))
        return false;
    memcpy(end->chain, at, AUDIT_CHAIN_LENGTH);
    end->chain[AUDIT_CHAIN_LENGTH] = '\0';
    end->action = find_action(line, end->body);
    return step_back(line, &at, ID_KEY, sizeof ID_KEY - 1) && number_before(line, at, &at, &end->sequence) &&
           step_back(line, &at, SEQUENCE_KEY, sizeof SEQUENCE_KEY - 1) && in_id == end->sequence;
}

bool audit_line_has_action(const char *line, const struct audit_line_end *end, const char *prefix)
{
    size_t length = strlen(prefix);
    return end->action && (size_t)(line + end->body - end->action) >= length &&
           memcmp(end->action, prefix, length) == 0;
}
