/*
 * Everything guardctl doctor can find, once: X(NAME, id, severity, what it finds, what to do). The ids are stable:
 * scripts and docs/operations.md name them (tests/guards/doctor_table.py --write puts the list there).
 */
#ifndef GUARD_CTL_DOCTOR_KINDS_H
#define GUARD_CTL_DOCTOR_KINDS_H

/* clang-format off: one kind, a few lines */
#define DOCTOR_KINDS(X)                                                                                                \
    X(PLUGIN_MISSING, "plugin-missing", ERROR, "no `plugin` line loads mosquitto_guard.so",                            \
      "add `plugin` with its full path, before other plugins")                                                         \
    X(PLUGIN_FILE, "plugin-file", ERROR, "the plugin's file is not there, or its path is not a full one",              \
      "give the full path: the broker searches nowhere, and takes a comment behind it for a part of it")               \
    X(PLUGIN_ORDER, "plugin-order", ERROR, "another plugin stands before Mosquitto Guard",                             \
      "move the `plugin` line of Mosquitto Guard before it: the first one that answers decides")                       \
    X(PLUGIN_BESIDE, "plugin-beside", WARNING, "another plugin stands behind Mosquitto Guard",                         \
      "remove it, or set `mode coexist` if it is to decide about identities that Mosquitto Guard does not know")       \
    X(PLUGIN_TWICE, "plugin-twice", ERROR, "Mosquitto Guard is loaded twice for the same clients",                     \
      "keep one: Mosquitto 2.0 does not start so, and on 2.1 the second is asked only what the first defers")          \
    X(PLUGIN_UNUSED, "plugin-unused", ERROR, "`plugin_load` without a `plugin_use`",                                   \
      "add `plugin_use` with its name to each listener it is for")                                                     \
    X(PLUGIN_UNLOADED, "plugin-unloaded", ERROR, "`plugin_use` of a plugin that no `plugin_load` before it loads",     \
      "correct the name, or move the `plugin_load` line up")                                                           \
    X(FILES_BESIDE, "files-beside", WARNING, "`password_file` or `acl_file` beside Mosquitto Guard",                   \
      "give it to the plugin (`plugin_opt_password_file`, `plugin_opt_acl_file`), or remove it, or set `mode "         \
      "coexist`")                                                                                                      \
    X(CHAIN_OPEN, "chain-open", ERROR,                                                                                 \
      "`mode coexist` and a chain that lets everything through (Mosquitto 2.1.0 to 2.1.2)",                            \
      "remove mosquitto_acl_file.so or give it an acl_file, or set `mode strict`")                                     \
    X(LISTENER_UNGUARDED, "listener-unguarded", ERROR, "a listener whose clients Mosquitto Guard is not asked about",  \
      "add the `plugin` line below that listener too, or remove `per_listener_settings true`")                         \
    X(LISTENER_NEEDED, "listener-needed", ERROR,                                                                       \
      "`per_listener_settings true` and a setting before any `listener` (Mosquitto 2.1)",                              \
      "put it below each listener, or remove `per_listener_settings`")                                                 \
    X(PER_LISTENER_OLD, "per-listener-old", NOTE, "`per_listener_settings` is going away (Mosquitto 2.1)",             \
      "use `plugin_load`, and `plugin_use` below each listener")                                                       \
    X(OPTION_WITHOUT_PLUGIN, "option-without-plugin", ERROR,                                                           \
      "a `plugin_opt_` line that follows no `plugin` line in its file",                                                \
      "put it behind the `plugin` line, in the same file")                                                             \
    X(OPTION_WRONG, "option-wrong", ERROR, "an option that does not exist, or a value it cannot have",                 \
      "correct it: the broker would not start")                                                                        \
    X(OPTION_TWICE, "option-twice", ERROR, "an option that is given twice", "keep one of them")                        \
    X(OPTION_BLANKS, "option-blanks", ERROR, "blanks at the end of a value",                                           \
      "remove them: the broker takes them for a part of the value")                                                    \
    X(OPTION_NOT_RELOADED, "option-not-reloaded", NOTE,                                                                \
      "an option that may change at SIGHUP stands where SIGHUP does not reach it",                                     \
      "move it to the file that `plugin_opt_config` names, if you want to change it without a restart")                \
    X(POLICY_MISSING, "policy-missing", ERROR, "neither `policy_file` nor `redis_url`", "set one of them")             \
    X(POLICY_WRONG, "policy-wrong", ERROR, "the policy file has errors", "see `guardctl check`")                       \
    X(AUDIT_OFF, "audit-off", WARNING, "no audit trail", "set `audit_dir`")                                            \
    X(AUDIT_UNSIGNED, "audit-unsigned", NOTE, "the audit trail is not signed",                                         \
      "make a key with `guardctl audit keygen` and name it in `audit_signing_key_file`")                               \
    X(AUDIT_SHARED, "audit-shared", ERROR, "two instances write to one audit folder",                                  \
      "give each a folder of its own: the second does not start")                                                      \
    X(AUDIT_FOLDER, "audit-folder", ERROR, "the audit folder cannot be written, or not be made",                       \
      "`install -d -o mosquitto -g mosquitto -m 0750` with its path")                                                  \
    X(AUDIT_OPEN, "audit-open", WARNING, "everybody may read the audit folder", "`chmod 0750` with its path")          \
    X(REDIS_UNREACHABLE, "redis-unreachable", ERROR, "Redis does not answer, or refuses",                              \
      "start it, or correct the redis_… options")                                                                      \
    X(REDIS_PLAIN, "redis-plain", WARNING, "Redis on another machine without TLS",                                     \
      "use `rediss://` and `redis_tls_ca`")                                                                            \
    X(SNAPSHOT_MISSING, "snapshot-missing", WARNING, "`redis_url` without `snapshot_file`",                            \
      "set `snapshot_file`: a broker that starts while Redis is down has no policy otherwise and refuses everybody")   \
    X(TOKEN_UNBOUND, "token-unbound", WARNING, "tokens of any issuer or for any audience are taken",                   \
      "set `jwt_issuer` and `jwt_audience`")                                                                           \
    X(TOKEN_LOGGED, "token-logged", WARNING, "`jwt_in_username yes`: the broker writes user names to its log",         \
      "let the clients send the token as password, then remove the option")                                            \
    X(TAKEOVER_ANY, "takeover-any", WARNING, "`client_takeover any`",                                                  \
      "remove it: any client may end another's session and take its queued messages")                                  \
    X(IDENTITY_LOGGED, "identity-logged", WARNING, "`identity_check log`",                                             \
      "rename what the log names, then remove the option")                                                             \
    X(THROTTLE_OFF, "throttle-off", WARNING, "`auth_throttle no`",                                                     \
      "remove it: passwords may be guessed as fast as the broker can hash")                                            \
    X(TLS_PORTS, "tls-ports", ERROR, "`require_tls` and `tls_ports` do not fit the listeners",                         \
      "name exactly the ports whose listeners have a `certfile`")                                                      \
    X(TLS_MISSING, "tls-missing", WARNING, "passwords and tokens over a listener without TLS",                         \
      "add `certfile` and `keyfile`, or let it listen on 127.0.0.1 only")                                              \
    X(TLS_OLD, "tls-old", WARNING, "an old TLS version is asked for", "remove `tls_version`, or set tlsv1.3")          \
    X(IDENTITY_BYPASS, "identity-bypass", ERROR, "`use_identity_as_username` or `use_subject_as_username`",            \
      "remove it: the plugin reads the certificate itself (`cert_identity`)")                                          \
    X(CERTIFICATE_NOT_ASKED, "certificate-not-asked", ERROR,                                                           \
      "certificates are a must in `auth_methods`, and no listener asks for one",                                       \
      "set `require_certificate true` on the TLS listener")                                                            \
    X(ANONYMOUS, "anonymous", WARNING, "`allow_anonymous true`",                                                       \
      "set it to false: the policy says what clients without credentials may do")                                      \
    X(MOUNT_POINT, "mount-point", WARNING, "`mount_point` changes the topics that the rules see",                      \
      "write the rules with the mount point in front; shared subscriptions do not work there")                         \
    X(PROXY_PROTOCOL, "proxy-protocol", WARNING, "the client's address is what the sender of the connection says",     \
      "let only the proxy reach that listener (bind it to its network, or a firewall)")                                \
    X(WEBSOCKET_ADDRESS, "websocket-address", WARNING,                                                                 \
      "clients over websockets may forge their address (Mosquitto 2.0.15 to 2.0.22)",                                  \
      "update the broker; until then do not trust rules, bans and blocks by address there")                            \
    X(HTTP_API, "http-api", NOTE, "the broker's HTTP API is on",                                                       \
      "give the users of the API their own rules, or remove that listener")                                            \
    X(USER_ROOT, "user-root", ERROR, "the broker runs as root", "remove `user root`")                                  \
    X(USER_UNKNOWN, "user-unknown", WARNING, "the broker's user does not exist here",                                  \
      "correct `user`, or run this on the broker's machine")                                                           \
    X(NOT_AS_BROKER, "not-as-broker", NOTE, "who runs this is neither root nor the broker's user",                     \
      "run it as root: whether the broker may read its files was not looked at")                                       \
    X(FILE_MISSING, "file-missing", ERROR, "a file that is not there", "correct the path")                             \
    X(FILE_UNREADABLE, "file-unreadable", ERROR, "a file that the broker's user may not read",                         \
      "`chgrp mosquitto` and `chmod 0640`, and every folder above it must let the user pass")                          \
    X(FILE_UNSAFE, "file-unsafe", ERROR, "a file that others may write",                                               \
      "let root or the broker's user own it, mode 0640 or 0644")                                                       \
    X(SECRET_OPEN, "secret-open", ERROR, "a private key or password that everybody may read",                          \
      "`chgrp mosquitto` and `chmod 0640`; what was open is no longer a secret: make a new one")                       \
    X(FOLDER_CLOSED, "folder-closed", WARNING, "a folder in which the plugin cannot make its file",                    \
      "let the broker's user own it, or choose another, such as /var/lib/mosquitto-guard")                             \
    X(CERTIFICATE_ENDED, "certificate-ended", ERROR, "a certificate or revocation list of the broker that is over",    \
      "renew it, then `systemctl reload mosquitto`: it is read again")                                                 \
    X(CERTIFICATE_ENDS, "certificate-ends", WARNING,                                                                   \
      "a certificate or revocation list of the broker that ends within two weeks",                                     \
      "renew it, then `systemctl reload mosquitto`: it is read again")                                                 \
    X(LOG_OFF, "log-off", WARNING,                                                                                     \
      "the broker's log leaves out what no plugin is shown: failed TLS handshakes, malformed packets",                 \
      "set `log_dest` and `log_type error`, `warning`, `notice`")                                                      \
    X(QUEUE_UNLIMITED, "queue-unlimited", WARNING, "a client that is away may fill the memory with queued messages",   \
      "set `max_queued_messages` to a number other than 0")                                                            \
    X(SESSIONS_FOREVER, "sessions-forever", NOTE, "sessions of clients that never come back are kept for ever",        \
      "set `persistent_client_expiration`")                                                                            \
    X(PERSISTENCE_PLACE, "persistence-place", WARNING, "`persistence true` without `persistence_location`",            \
      "name a folder of the broker's user: else the file goes where the broker was started")                           \
    X(PERSISTENCE_NAMES, "persistence-names", NOTE,                                                                    \
      "sessions without a user name come back with another's (Mosquitto 2.0.11 and older)",                            \
      "update the broker; Mosquitto Guard gives such sessions nothing that their own log-in did not")                  \
    X(RETAINED_UNCHECKED, "retained-unchecked", NOTE, "retained messages outlive the right to publish them",           \
      "set `check_retain_source true`")                                                                                \
    X(BRIDGE, "bridge", NOTE, "what comes over a bridge that this broker opens is not checked",                        \
      "keep its `topic` lines narrow, and let the other broker check")                                                 \
    X(DENY_SPECIAL, "deny-special", NOTE, "`auth_plugin_deny_special_chars` has no effect on this plugin",             \
      "see `identity_check`")                                                                                          \
    X(RELOAD_ENDS, "reload-ends", WARNING,                                                                             \
      "on Mosquitto 2.1 a mistake in `password_file` or `acl_file` ends the broker at SIGHUP",                         \
      "check these files before a reload, or move them into the policy")                                               \
    X(PER_LISTENER_TICK, "per-listener-tick", ERROR, "`per_listener_settings true` on Mosquitto 2.0.11",               \
      "update the broker or remove it: plugins get no time there, so that expired sessions are not ended and edits "   \
      "not taken")                                                                                                     \
    X(PER_LISTENER_QUEUE, "per-listener-queue", WARNING, "`per_listener_settings true` on Mosquitto 2.0.12 to 2.0.22", \
      "update the broker or remove it: messages for clients that are away are lost there")                             \
    X(BROKER_SETTING, "broker-setting", ERROR, "a setting that only Mosquitto 2.1 has",                                \
      "update the broker, or use `plugin` and `per_listener_settings`")                                                \
    X(BROKER_TOO_OLD, "broker-too-old", ERROR, "a broker older than 2.0.11",                                           \
      "update it: the plugin does not run there")                                                                      \
    X(BROKER_HOLES, "broker-holes", WARNING, "the broker has known holes", "update the broker")                        \
    X(BROKER_UNKNOWN, "broker-unknown", NOTE, "the broker's version is not known", "name it with `--broker VERSION`")

#endif
