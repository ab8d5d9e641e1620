/*
 * Password hashes: the formats people bring along are read, the best one this build has is written.
 *
 *   stored string                                   written by
 *   $7$iterations$salt$key                          mosquitto_passwd: PBKDF2-HMAC-SHA-512
 *   $6$salt$key                                     mosquitto_passwd of old: SHA-512 over password and salt
 *   $6$[rounds=N$]salt$key                          sha512crypt of crypt(3); told apart by its 86 characters of key
 *   $argon2id$v=19$m=KiB,t=N,p=N$salt$key           us, Mosquitto 2.1, mosquitto-go-auth, argon2(1): a PHC string
 *   $2a$ $2b$ $2y$                                  bcrypt
 *   $y$                                             yescrypt of crypt(3)
 *   PBKDF2$digest$iterations$salt$key               mosquitto-go-auth (salt in base64, or text), mosquitto-auth-plug
 *   pbkdf2-digest$i=N,l=N$salt$key                  mosquitto-go-auth's second form; also with a $ in front
 *   pbkdf2_digest$iterations$salt$key               Django
 *   $digest-plain$key $digest-prefix|suffix$salt$key  us, from the fields of EMQX (auth_password_from_emqx)
 *
 * PBKDF2$… does not say whether its salt is base64 or text. Both readings are tried, the likelier first, so a wrong
 * password costs twice. Nor does it say how long its key is: a key without base64 padding is taken for truncated,
 * unless it has the 24 octets of mosquitto-auth-plug. The form with i=,l= has no such doubts; importers write that.
 *
 * Everything here is safe to call from any thread, keeps no state, and leaves OpenSSL's error queue empty.
 */
#ifndef GUARD_AUTH_PASSWORD_H
#define GUARD_AUTH_PASSWORD_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stored hashes beyond these are refused as malformed: whoever can write one could stop the broker otherwise (~1 s
 * each). */
#define AUTH_PASSWORD_MAX_ITERATIONS 2000000U /* PBKDF2, rounds of sha512crypt */
#define AUTH_PASSWORD_MAX_MEMORY     262144U  /* argon2id m, in KiB */
#define AUTH_PASSWORD_MAX_WORK       1048576U /* argon2id m × t, in KiB */
#define AUTH_PASSWORD_MAX_LANES      16U      /* argon2id p */
#define AUTH_PASSWORD_MAX_BCRYPT     14U      /* log2 of the rounds */
#define AUTH_PASSWORD_MAX_STORED     1024U    /* octets of a stored string */
#define AUTH_PASSWORD_MAX_LENGTH     65535U   /* octets of a password: as many as MQTT can carry */

/* Far apart, so that no slip turns one into another; compare with AUTH_PASSWORD_MATCH explicitly. */
enum auth_password_result {
    AUTH_PASSWORD_ERROR = 0,         /* the stored hash cannot be used, or a library failed: refuse, and log err */
    AUTH_PASSWORD_MISMATCH = 0x2be8, /* a well-formed hash of another password */
    AUTH_PASSWORD_MATCH = 0x5a17
};

/*
 * Whether password (length octets) is the one that stored was made from. stored is NUL-terminated and comes from the
 * policy: malformed, truncated or absurdly expensive ones are AUTH_PASSWORD_ERROR with the reason in err
 * (GUARD_ERR_SYNTAX, _INVALID, _LIMIT, _UNSUPPORTED, _CRYPTO or _NOMEM; never with the hash itself). Keys are compared
 * in constant time. bcrypt looks at the first 72 octets only, as everywhere; crypt(3) formats never match a password
 * that holds a NUL.
 */
enum auth_password_result auth_password_verify(const char *stored, const char *password, size_t length,
                                               struct guard_error *err);

/*
 * Memory that the argon2id hashes of one thread may use again and again: fresh memory costs page faults that take
 * longer than the hash. Lend it to a thread that verifies many passwords; it grows to the largest hash seen, and stays
 * until it is trimmed or freed. NULL when out of memory.
 */
struct auth_password_scratch;
struct auth_password_scratch *auth_password_scratch_new(void);
/* For the calling thread, from now on; NULL = no more. The scratch must outlive that, and serves one thread at a time.
 */
void auth_password_scratch_lend(struct auth_password_scratch *scratch);
/* Gives the memory back to the system until it is needed again. Not during a hash. */
void auth_password_scratch_trim(struct auth_password_scratch *scratch);
void auth_password_scratch_free(struct auth_password_scratch **scratch);

/* GUARD_OK if auth_password_verify could use stored; otherwise what it would answer. Costs no hash. For `guardctl
 * check`. */
int auth_password_check(const char *stored, struct guard_error *err);

enum auth_password_cost {
    AUTH_PASSWORD_CHEAP, /* below about 1 ms, or refused without hashing: may be verified where one stands */
    AUTH_PASSWORD_SLOW   /* a KDF made to be slow: belongs on a worker */
};
enum auth_password_cost auth_password_cost(const char *stored);

/* A rough estimate of the time auth_password_verify takes with stored, in microseconds; 0 if it would be refused. */
uint64_t auth_password_estimate_us(const char *stored);

/* Whether stored is weaker than what auth_password_make writes by default, and should be renewed at the next chance. */
bool auth_password_outdated(const char *stored);

/*
 * An unknown user must cost what a known one costs. The decoy is a stored string with the kind and parameters of
 * `usual` (a stored hash of the policy; NULL, or one that cannot be used: the default of auth_password_make), but a
 * random key. Freed by the caller; NULL when out of memory.
 */
char *auth_password_decoy(const char *usual);

/* Does the work of one auth_password_verify against the decoy. There is no result: it never matches. */
void auth_password_dummy(const char *decoy, const char *password, size_t length);

/*
 * Finds the usual hash of a policy in one pass (majority vote, constant memory). Zero-initialise; add every stored
 * hash; hand example to auth_password_decoy. example is borrowed from the last caller that set it, so the policy must
 * live that long.
 */
struct auth_password_usual {
    const char *example; /* NULL = none seen */
    size_t lead;
};
void auth_password_usual_add(struct auth_password_usual *usual, const char *stored);

enum auth_password_format {
    AUTH_PASSWORD_DEFAULT = 0, /* argon2id where this build has it, else PBKDF2 */
    AUTH_PASSWORD_ARGON2ID,
    AUTH_PASSWORD_PBKDF2, /* $7$, which every Mosquitto reads */
    AUTH_PASSWORD_BCRYPT
};

/* 0 = the default, in brackets. */
struct auth_password_params {
    enum auth_password_format format;
    uint32_t iterations; /* argon2id: passes [2]; PBKDF2 [210,000]; bcrypt: log2 of the rounds [12] */
    uint32_t memory_kib; /* argon2id [19,456] */
    uint32_t lanes;      /* argon2id [1] */
};

/*
 * Hashes password (length octets) with a fresh random salt. params NULL = all defaults. *stored is freed by the caller
 * (guard_free_string). GUARD_ERR_INVALID: parameters below what is worth writing, above the limits, a password bcrypt
 * would cut or with a NUL in it; GUARD_ERR_UNSUPPORTED: argon2id in a build without libargon2.
 */
int auth_password_make(const struct auth_password_params *params, const char *password, size_t length, char **stored,
                       struct guard_error *err);

/* "argon2id", "pbkdf2", "bcrypt", "default" to the format; false for other names. */
bool auth_password_format_parse(const char *name, enum auth_password_format *format);

/* How an EMQX authenticator hashes: its `password_hash_algorithm`. */
struct auth_password_emqx {
    const char *algorithm;     /* "plain", "md5", "sha", "sha256", "sha512", "bcrypt", "pbkdf2" */
    const char *salt_position; /* "disable", "prefix" or "suffix"; of the simple digests. NULL = "prefix" */
    const char *mac;           /* pbkdf2: "sha", "sha256", "sha512"; NULL = "sha256" */
    uint32_t iterations;       /* pbkdf2 */
};

/*
 * The stored string for the fields password_hash and salt of an EMQX user (salt may be NULL). plain is hashed anew with
 * the defaults of auth_password_make. *stored is freed by the caller. GUARD_ERR_INVALID or _UNSUPPORTED with the reason
 * in err.
 */
int auth_password_from_emqx(const struct auth_password_emqx *scheme, const char *hash, const char *salt, char **stored,
                            struct guard_error *err);

#endif
