#include "audit/detect_internal.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES         16384
#define NEW_IP_LEARN_NS (7 * 86400 * DETECT_SECOND_NS)
#define NEW_IP_WINDOW_S (30 * 86400)

/* A score counts as reached when it rounds to the limit: ten failures in a second leak a little already. */
#define REACHED 0.5

static const struct rule {
    const char *id;
    enum audit_action action;
    unsigned limit;    /* score, or different things */
    unsigned window_s; /* in which the score leaks away, or in which things are counted */
    unsigned quiet_s;  /* between two alerts for one key */
} rules[DETECT_RULE_COUNT] = {
#define RULE(name, text, kind, limit, window, quiet) \
    [DETECT_##name] = {text, AUDIT_ACTION_ALERT_##kind, limit, window, quiet}
    RULE(BF_IP, "bf-ip", BRUTE_FORCE, 10, 60, 300),
    RULE(BF_USER, "bf-user", BRUTE_FORCE, 20, 600, 300),
    RULE(BF_CLIENT, "bf-client", BRUTE_FORCE, 20, 600, 300),
    RULE(SPRAY, "spray", PASSWORD_SPRAY, 5, 60, 300),
    RULE(FLAP_CLIENT, "flap-client", FLAPPING, 15, 60, 300),
    RULE(FLAP_IP, "flap-ip", FLAPPING, 60, 60, 300),
    RULE(SCAN, "topic-scan", TOPIC_SCAN, 20, 60, 300),
    RULE(SHARED, "cred-shared", CREDENTIAL_SHARED, 5, 3600, 3600),
    RULE(TWICE, "cred-twice", CREDENTIAL_SHARED, 2, 0, 300),
    RULE(NEW_IP, "new-ip", NEW_IP, 1, NEW_IP_WINDOW_S, 300),
    RULE(NEW_COUNTRY, "new-country", NEW_COUNTRY, 1, NEW_IP_WINDOW_S, 300),
    RULE(HOURS, "out-of-hours", OUT_OF_HOURS, 1, 3600, 3600),
    RULE(RATE, "rate-self", RATE_SPIKE, 100, 10, 300),
#undef RULE
};

const char *detect_rule_id(enum detect_rule rule)
{
    return rules[rule].id;
}

enum audit_action detect_rule_action(enum detect_rule rule)
{
    return rules[rule].action;
}

static bool has_table(enum detect_rule rule)
{
    switch (rule) {
    case DETECT_SPRAY:
    case DETECT_TWICE:
    case DETECT_NEW_IP:
    case DETECT_NEW_COUNTRY:
    case DETECT_HOURS:
    case DETECT_RATE:
        return false;
    default:
        return true;
    }
}

/* Of those that count different things the score only says what is fresh; it leaks one unit in a window. */
static double leak_of(enum detect_rule rule)
{
    bool counts_things = rule == DETECT_SCAN || rule == DETECT_SHARED;
    return (counts_things ? 1.0 : (double)rules[rule].limit) / rules[rule].window_s;
}

struct detect *detect_new(const struct guard_siphash_key *key, detect_raise *raise, void *context)
{
    struct detect *detect = calloc(1, sizeof *detect);
    if (!detect)
        return NULL;
    detect->learned.key = *key;
    detect->raise = raise;
    detect->context = context;
    detect->live = calloc((size_t)DETECT_LIVE_SETS * DETECT_WAYS, sizeof *detect->live);
    detect->habits = calloc((size_t)DETECT_HABIT_SETS * DETECT_WAYS, sizeof *detect->habits);
    bool good = detect_bloom_init(&detect->learned.pairs) && detect->live && detect->habits;
    for (unsigned rule = 0; rule < DETECT_RULE_COUNT; rule++)
        if (has_table((enum detect_rule)rule))
            good = detect_table_init(&detect->table[rule], ENTRIES, leak_of((enum detect_rule)rule)) && good;
    if (!good)
        detect_free(&detect);
    return detect;
}

void detect_free(struct detect **pointer)
{
    struct detect *detect = *pointer;
    *pointer = NULL;
    if (!detect)
        return;
    for (unsigned rule = 0; rule < DETECT_RULE_COUNT; rule++)
        detect_table_free(&detect->table[rule]);
    detect_bloom_free(&detect->learned.pairs);
    free(detect->learned.hours);
    free(detect->live);
    free(detect->habits);
    free(detect);
}

uint64_t detect_count(const struct detect *detect, enum detect_rule rule)
{
    return atomic_load_explicit(&detect->count[rule], memory_order_relaxed);
}

void detect_say(struct detect *detect, struct detect_alert *alert, uint32_t *alerted_s, uint32_t *suppressed)
{
    uint32_t now_s = (uint32_t)(alert->time_ns / DETECT_SECOND_NS);
    if (*alerted_s && now_s - *alerted_s < rules[alert->rule].quiet_s) {
        (*suppressed)++;
        return;
    }
    alert->suppressed = *suppressed;
    *suppressed = 0;
    *alerted_s = now_s ? now_s : 1;
    atomic_fetch_add_explicit(&detect->count[alert->rule], 1, memory_order_relaxed);
    detect->raise(detect->context, alert);
}

struct detect_alert detect_alert_of(enum detect_rule rule, uint32_t since_s, int64_t now_ns)
{
    return (struct detect_alert){
        .rule = rule,
        .time_ns = now_ns,
        .threshold = rules[rule].limit,
        .baseline = -1,
        .score = -1,
        .window_s = rules[rule].window_s,
        .distinct_users = -1,
        .distinct_ips = -1,
        .start_ns = (int64_t)since_s * DETECT_SECOND_NS,
    };
}

/* ---- leaky scores ---- */

/* Adds one to a key's score. The entry, or NULL when there is no key. */
static struct detect_entry *add(struct detect *detect, enum detect_rule rule, uint64_t key, int64_t now_ns)
{
    if (!key)
        return NULL;
    struct detect_entry *entry = detect_table_get(&detect->table[rule], key, now_ns);
    if (entry->score <= 0) {
        entry->since_s = (uint32_t)(now_ns / DETECT_SECOND_NS);
        memset(entry->bits, 0, sizeof entry->bits);
    }
    float most = 2 * (float)rules[rule].limit; /* an attack that ends is over after two windows at the latest */
    entry->score = entry->score + 1 < most ? entry->score + 1 : most;
    return entry;
}

/* The alert, if the score has reached the limit. */
static void judge(struct detect *detect, enum detect_rule rule, struct detect_entry *entry, int64_t now_ns)
{
    if (!entry || (double)entry->score < rules[rule].limit - REACHED)
        return;
    struct detect_alert alert = detect_alert_of(rule, entry->since_s, now_ns);
    alert.observed = (unsigned)((double)entry->score + REACHED);
    if (rule == DETECT_BF_IP)
        alert.distinct_users = detect_marks(entry);
    detect_say(detect, &alert, &entry->alerted_s, &entry->suppressed);
}

static bool is_guess(enum guard_reason reason)
{
    switch (reason) {
    case GUARD_REASON_BAD_CREDENTIALS:
    case GUARD_REASON_UNKNOWN_USER:
    case GUARD_REASON_CERT_IDENTITY_MISMATCH:
    case GUARD_REASON_JWT_ALG_NOT_ALLOWED:
    case GUARD_REASON_JWT_BAD_SIGNATURE:
    case GUARD_REASON_JWT_MALFORMED:
    case GUARD_REASON_JWT_UNKNOWN_KEY:
    case GUARD_REASON_JWT_WRONG_AUDIENCE:
    case GUARD_REASON_JWT_WRONG_ISSUER:
    case GUARD_REASON_PSK_UNKNOWN_IDENTITY:
    case GUARD_REASON_IP_BLOCKED: /* refused unchecked: it was guessing before, and goes on */
    case GUARD_REASON_RATE_LIMITED:
        return true;
    default:
        return false;
    }
}

/* The users that one address tries are marks in the entry of its failures; they have an entry of their own for the
 * quiet time only. */
static void judge_spray(struct detect *detect, struct detect_entry *failures, int64_t now_ns)
{
    unsigned users = detect_marks(failures);
    if (users < rules[DETECT_SPRAY].limit)
        return;
    struct detect_alert alert = detect_alert_of(DETECT_SPRAY, failures->since_s, now_ns);
    struct detect_entry *quiet = detect_table_get(&detect->table[DETECT_BF_IP], ~failures->key, now_ns);
    alert.observed = users;
    alert.distinct_users = users;
    quiet->score = (float)rules[DETECT_BF_IP].limit;
    detect_say(detect, &alert, &quiet->alerted_s, &quiet->suppressed);
}

void detect_login_failed(struct detect *detect, const struct detect_keys *who, enum guard_reason reason, int64_t now_ns)
{
    if (!is_guess(reason))
        return;
    struct detect_entry *address = add(detect, DETECT_BF_IP, who->address, now_ns);
    if (address && who->user)
        detect_mark(address, who->user);
    judge(detect, DETECT_BF_IP, address, now_ns);
    if (address)
        judge_spray(detect, address, now_ns);
    judge(detect, DETECT_BF_USER, add(detect, DETECT_BF_USER, who->user, now_ns), now_ns);
    judge(detect, DETECT_BF_CLIENT, add(detect, DETECT_BF_CLIENT, who->client, now_ns), now_ns);
}

void detect_disconnect(struct detect *detect, const struct detect_keys *who, int64_t now_ns)
{
    judge(detect, DETECT_FLAP_CLIENT, add(detect, DETECT_FLAP_CLIENT, who->client, now_ns), now_ns);
    judge(detect, DETECT_FLAP_IP, add(detect, DETECT_FLAP_IP, who->address, now_ns), now_ns);
    if (who->single)
        detect_live_end(detect, who);
}

/* ---- different things in a window ---- */

/* Marks value in the key's window; the number of different values by now. */
static unsigned count_in_window(struct detect *detect, enum detect_rule rule, struct detect_entry **found, uint64_t key,
                                uint64_t value, int64_t now_ns)
{
    struct detect_entry *entry = detect_table_get(&detect->table[rule], key, now_ns);
    uint32_t now_s = (uint32_t)(now_ns / DETECT_SECOND_NS);
    if (now_s - entry->since_s >= rules[rule].window_s && now_s > entry->since_s) {
        entry->since_s = now_s;
        memset(entry->bits, 0, sizeof entry->bits);
    }
    detect_mark(entry, value);
    entry->score = (float)detect_marks(entry); /* who has more weighs more */
    *found = entry;
    return detect_marks(entry);
}

void detect_denied(struct detect *detect, const struct detect_keys *who, const char *topic, size_t length,
                   int64_t now_ns)
{
    struct detect_entry *entry;
    if (!who->client)
        return;
    uint64_t value = guard_siphash(&detect->learned.key, topic, length);
    unsigned topics = count_in_window(detect, DETECT_SCAN, &entry, who->client, value, now_ns);
    if (topics < rules[DETECT_SCAN].limit)
        return;
    struct detect_alert alert = detect_alert_of(DETECT_SCAN, entry->since_s, now_ns);
    alert.observed = topics;
    detect_say(detect, &alert, &entry->alerted_s, &entry->suppressed);
}

static void judge_shared(struct detect *detect, const struct detect_keys *who, int64_t now_ns)
{
    struct detect_entry *entry;
    unsigned addresses = count_in_window(detect, DETECT_SHARED, &entry, who->user, who->address, now_ns);
    if (addresses < rules[DETECT_SHARED].limit)
        return;
    struct detect_alert alert = detect_alert_of(DETECT_SHARED, entry->since_s, now_ns);
    alert.observed = addresses;
    alert.distinct_ips = addresses;
    detect_say(detect, &alert, &entry->alerted_s, &entry->suppressed);
}

/* ---- what was never seen ---- */

static bool add_pair(struct detect *detect, uint64_t user, uint64_t value, int64_t now_ns)
{
    const uint64_t pair[2] = {user, value};
    return detect_bloom_add(&detect->learned.pairs, guard_siphash(&detect->learned.key, pair, sizeof pair), now_ns);
}

/* The second time it is known: no quiet time is needed. */
static void say_new(struct detect *detect, enum detect_rule rule, int64_t now_ns)
{
    uint32_t alerted_s = 0, suppressed = 0;
    struct detect_alert alert = detect_alert_of(rule, 0, now_ns);
    alert.observed = 1;
    alert.threshold = -1;
    detect_say(detect, &alert, &alerted_s, &suppressed);
}

/* Adds the pair; whether it is new and the time of learning, which begins with the first log-in, is over. */
static bool is_new(struct detect *detect, int64_t *began_ns, uint64_t user, uint64_t value, int64_t now_ns)
{
    if (!*began_ns)
        *began_ns = now_ns;
    return !add_pair(detect, user, value, now_ns) && now_ns - *began_ns >= NEW_IP_LEARN_NS;
}

/* A new country is a new address, too: that is one alert, and it names both. */
static void judge_new(struct detect *detect, const struct detect_keys *who, int64_t now_ns)
{
    struct detect_learned *learned = &detect->learned;
    bool address = is_new(detect, &learned->began_ns, who->user, who->address, now_ns);
    bool country = who->country && is_new(detect, &learned->countries_began_ns, who->user, who->country, now_ns);
    if (country)
        say_new(detect, DETECT_NEW_COUNTRY, now_ns);
    else if (address)
        say_new(detect, DETECT_NEW_IP, now_ns);
}

void detect_login(struct detect *detect, const struct detect_keys *who, int64_t now_ns)
{
    if (!who->user || !who->address)
        return;
    judge_shared(detect, who, now_ns);
    judge_new(detect, who, now_ns);
    if (who->single)
        detect_live_begin(detect, who, now_ns);
}
