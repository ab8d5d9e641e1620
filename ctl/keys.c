/* guardctl keys: makes key pairs, and JWK Sets of public keys. */
#include "ctl/commands.h"

#include "auth/token_issue.h"
#include "core/file.h"
#include "core/memory.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void write_log(void *context, enum guard_log_level level, const char *line)
{
    (void)context;
    if (level >= GUARD_LOG_WARNING)
        fprintf(stderr, "guardctl keys: warning: %s\n", line);
}

static const struct guard_log to_stderr = {write_log, NULL};

static int complain(const struct ctl_command *command, const struct guard_error *err)
{
    char text[900];
    fprintf(stderr, "guardctl %s: %s\n", command->name, guard_error_format(err, text, sizeof text));
    return CTL_USAGE;
}

struct generate_options {
    const char *algorithm, *kid, *out, *jwks;
};

static int parse_generate(const struct ctl_command *command, int argc, char **argv, struct generate_options *options)
{
    static const struct option names[] = {{"algorithm", required_argument, NULL, 'a'},
                                          {"kid", required_argument, NULL, 'k'},
                                          {"out", required_argument, NULL, 'o'},
                                          {"jwks", required_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
    int letter;
    opterr = 0;
    optind = 1;
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (letter == '?')
            return ctl_usage_error(command, "the option '%s' is not known, or lacks its value", argv[optind - 1]);
        *(letter == 'a'   ? &options->algorithm
          : letter == 'k' ? &options->kid
          : letter == 'o' ? &options->out
                          : &options->jwks) = optarg;
    }
    if (optind < argc)
        return ctl_usage_error(command, "'%s' is not an option", argv[optind]);
    return options->out ? CTL_OK : ctl_usage_error(command, "--out is needed: the file for the private key");
}

/* The public half of the private JWK just made, as a set in a file of its own. */
static int write_public(const char *private_jwk, const char *path, struct guard_error *err)
{
    struct auth_jwks *keys;
    char *text = NULL;
    int rc = auth_jwks_parse(private_jwk, strlen(private_jwk), "the new key", NULL, &keys, err);
    if (rc == GUARD_OK)
        rc = auth_jwks_public(keys, &text, err);
    if (rc == GUARD_OK)
        rc = guard_file_replace(path, text, strlen(text), 0644, err);
    guard_free_string(&text);
    auth_jwks_unref(&keys);
    return rc;
}

static int run_generate(const struct ctl_command *command, int argc, char **argv)
{
    struct generate_options options = {.algorithm = "ES256"};
    struct guard_error err;
    char *jwk = NULL;
    int rc = parse_generate(command, argc, argv, &options);
    if (rc != CTL_OK)
        return rc;
    int algorithm = auth_algorithm_parse(options.algorithm, strlen(options.algorithm));
    if (algorithm < 0)
        return ctl_usage_error(command, "'%s' is not an algorithm", options.algorithm);
    if (options.jwks && AUTH_ALGORITHM_BIT(algorithm) & AUTH_ALGORITHMS_HMAC)
        return ctl_usage_error(command, "a secret has no public half: give the file itself to the broker");
    rc = auth_key_generate((enum auth_algorithm)algorithm, options.kid, &jwk, &err);
    if (rc == GUARD_OK)
        rc = guard_file_replace(options.out, jwk, strlen(jwk), 0600, &err);
    if (rc == GUARD_OK && options.jwks)
        rc = write_public(jwk, options.jwks, &err);
    guard_free_string(&jwk);
    return rc == GUARD_OK ? CTL_OK : complain(command, &err);
}

const struct ctl_command ctl_keys_generate = {
    "keys generate", "make a key for issuing tokens",
    "usage: guardctl keys generate --out FILE [--jwks FILE] [--algorithm A] [--kid K]\n"
    "\n"
    "Writes a new private key (a JWK, mode 0600) and, with --jwks, its public half as a JWK Set for the broker.\n"
    "\n"
    "  --out FILE       the private key or secret: for `guardctl token issue --key`\n"
    "  --jwks FILE      the public keys: for the option jwt_jwks_file\n"
    "  --algorithm A    ES256 (default), EdDSA, RS256, PS256, ES384 …; HS256 makes a secret that both sides need\n"
    "  --kid K          the key's name (default: its RFC 7638 thumbprint)\n",
    run_generate};

static int print_set(const char *path, struct guard_error *err)
{
    struct auth_jwks *keys;
    char *text = NULL;
    int rc = auth_jwks_load(path, &to_stderr, &keys, err);
    if (rc == GUARD_OK)
        rc = auth_jwks_public(keys, &text, err);
    if (rc == GUARD_OK)
        fputs(text, stdout);
    guard_free_string(&text);
    auth_jwks_unref(&keys);
    return rc;
}

static int run_jwks(const struct ctl_command *command, int argc, char **argv)
{
    struct guard_error err;
    if (argc != 2)
        return ctl_usage_error(command, "one file or folder is needed");
    return print_set(argv[1], &err) == GUARD_OK ? CTL_OK : complain(command, &err);
}

const struct ctl_command ctl_keys_jwks = {
    "keys jwks", "print the public keys of files as a JWK Set",
    "usage: guardctl keys jwks FILE|FOLDER\n"
    "\n"
    "Prints the public halves of a key file (PEM or JWK, private or public, certificate, JWK Set), or of all key files "
    "of\n"
    "a folder, as a JWK Set for the option jwt_jwks_file. A PEM key in a folder has its file's name as kid.\n",
    run_jwks};
