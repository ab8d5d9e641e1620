/* guardctl audit keygen: the key that signs the trail's checkpoints. */
#include "ctl/commands.h"

#include "audit/chain.h"

#include <stdio.h>

static int run(const struct ctl_command *command, int argc, char **argv)
{
    char id[AUDIT_KEY_ID_SIZE], text[900];
    struct guard_error err;
    if (argc != 2 || argv[1][0] == '-')
        return ctl_usage_error(command, "one file name is needed");
    if (audit_key_generate(argv[1], id, &err) != GUARD_OK) {
        fprintf(stderr, "guardctl %s: %s\n", command->name, guard_error_format(&err, text, sizeof text));
        return CTL_USAGE;
    }
    printf("private key  %s (for the broker: audit_signing_key_file; readable for its user only)\n"
           "public key   %s.pub (for `guardctl audit verify --key`; keep a copy away from the broker)\n"
           "key id       %s\n",
           argv[1], argv[1], id);
    return CTL_OK;
}

const struct ctl_command ctl_audit_keygen = {
    "audit keygen", "make the key that signs the audit trail",
    "usage: guardctl audit keygen FILE\n"
    "\n"
    "Makes an Ed25519 key pair: the private key as PEM in FILE (mode 0600), the public key in FILE.pub. Neither file "
    "may\n"
    "exist. Prints the key id, the first 8 bytes of SHA-256 of the public key, as it stands in every audit-start "
    "record.\n"
    "\n"
    "The broker's user must be able to read FILE: chown mosquitto FILE (or chgrp and mode 0640).\n",
    run};
