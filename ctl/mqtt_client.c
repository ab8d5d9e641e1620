#include "ctl/mqtt_client.h"

#include "core/buffer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 10
#define BODY_MAX   (1u << 20)

/* First octets of the packets (MQTT 5.0 §2.1.2) */
enum packet {
    CONNECT = 0x10,
    CONNACK = 0x20,
    PUBLISH = 0x30,
    PUBACK = 0x40,
    SUBSCRIBE = 0x82,
    SUBACK = 0x90,
    UNSUBSCRIBE = 0xa2,
    UNSUBACK = 0xb0,
    PINGREQ = 0xc0,
    PINGRESP = 0xd0
};

struct ctl_mqtt_client {
    int fd;
    uint16_t packet_id;
    unsigned messages;
    struct guard_buffer out, in; /* the packet being written; the body of the one read last */
    uint8_t first;               /* its first octet */
};

/* ---- writing ---- */

static void put_text(struct guard_buffer *out, const char *text)
{
    size_t length = strlen(text);
    guard_buffer_byte(out, (char)(length >> 8));
    guard_buffer_byte(out, (char)length);
    guard_buffer_append(out, text, length);
}

static int send_all(struct ctl_mqtt_client *client, const void *bytes, size_t length, struct guard_error *err)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t n = send(client->fd, (const char *)bytes + sent, length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return guard_fail(err, GUARD_ERR_IO, "the broker has hung up");
        sent += (size_t)n;
    }
    return GUARD_OK;
}

/* Sends client->out as the body of a packet. */
static int send_packet(struct ctl_mqtt_client *client, enum packet first, struct guard_error *err)
{
    unsigned char head[5] = {(unsigned char)first};
    size_t used = 1, rest = client->out.length;
    if (client->out.failed)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    do {
        head[used] = (unsigned char)(rest & 0x7f);
        rest >>= 7;
        head[used++] |= rest ? 0x80 : 0;
    } while (rest && used < sizeof head);
    int rc = send_all(client, head, used, err);
    if (rc == GUARD_OK)
        rc = send_all(client, client->out.data ? client->out.data : "", client->out.length, err);
    guard_buffer_clear(&client->out);
    return rc;
}

static uint16_t put_packet_id(struct ctl_mqtt_client *client)
{
    client->packet_id = client->packet_id == UINT16_MAX ? 1 : (uint16_t)(client->packet_id + 1);
    guard_buffer_byte(&client->out, (char)(client->packet_id >> 8));
    guard_buffer_byte(&client->out, (char)client->packet_id);
    return client->packet_id;
}

/* ---- reading ---- */

static int receive(struct ctl_mqtt_client *client, void *bytes, size_t length, struct guard_error *err)
{
    for (size_t got = 0; got < length;) {
        ssize_t n = recv(client->fd, (char *)bytes + got, length - got, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return guard_fail(err, GUARD_ERR_IO, "the broker did not answer: %s", strerror(errno));
        if (n == 0)
            return guard_fail(err, GUARD_ERR_IO, "the broker has hung up");
        got += (size_t)n;
    }
    return GUARD_OK;
}

static int read_packet(struct ctl_mqtt_client *client, struct guard_error *err)
{
    uint8_t digit = 0x80;
    size_t length = 0;
    int rc = receive(client, &client->first, 1, err);
    for (unsigned shift = 0; rc == GUARD_OK && digit & 0x80 && shift < 28; shift += 7) {
        rc = receive(client, &digit, 1, err);
        length |= (size_t)(digit & 0x7f) << shift;
    }
    if (rc != GUARD_OK)
        return rc;
    guard_buffer_clear(&client->in);
    if (digit & 0x80 || length > BODY_MAX)
        return guard_fail(err, GUARD_ERR_LIMIT, "the broker sent a packet that is too long");
    char *body = guard_buffer_reserve(&client->in, length + 1);
    if (!body)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    rc = receive(client, body, length, err);
    client->in.length = length;
    return rc;
}

/* Reads up to the answer of that kind. Messages on the way are counted; QoS 0 was asked for, so none is acknowledged.
 */
static int wait_for(struct ctl_mqtt_client *client, enum packet kind, struct guard_error *err)
{
    for (;;) {
        int rc = read_packet(client, err);
        if (rc != GUARD_OK || (client->first & 0xf0) == (kind & 0xf0))
            return rc;
        if ((client->first & 0xf0) == PUBLISH && !(client->first & 1))
            client->messages++;
    }
}

static uint8_t octet(const struct ctl_mqtt_client *client, size_t index)
{
    return index < client->in.length ? (uint8_t)client->in.data[index] : 0;
}

/* ---- the packets ---- */

static int open_socket(unsigned port, struct guard_error *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return fd;
    }
    guard_fail(err, GUARD_ERR_IO, "cannot connect to port %u: %s", port, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static void put_connect(struct guard_buffer *out, const struct ctl_mqtt_login *login)
{
    int flags = 0x02 | (login->username ? 0x80 : 0) | (login->password ? 0x40 : 0); /* clean start */
    put_text(out, "MQTT");
    guard_buffer_byte(out, 5);
    guard_buffer_byte(out, (char)flags);
    guard_buffer_append(out, "\0\0\0", 3); /* no keep-alive, no properties */
    put_text(out, login->client_id);
    if (login->username)
        put_text(out, login->username);
    if (login->password)
        put_text(out, login->password);
}

int ctl_mqtt_connect(unsigned port, const struct ctl_mqtt_login *login, struct ctl_mqtt_client **out, uint8_t *reason,
                     struct guard_error *err)
{
    struct ctl_mqtt_client *client = calloc(1, sizeof *client);
    *out = NULL;
    *reason = 0xff;
    if (!client)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    client->fd = open_socket(port, err);
    int rc = client->fd >= 0 ? GUARD_OK : GUARD_ERR_IO;
    if (rc == GUARD_OK) {
        put_connect(&client->out, login);
        rc = send_packet(client, CONNECT, err);
    }
    if (rc == GUARD_OK)
        rc = wait_for(client, CONNACK, err);
    if (rc == GUARD_OK)
        *reason = octet(client, 1);
    if (rc != GUARD_OK || *reason)
        ctl_mqtt_close(&client);
    *out = client;
    return rc;
}

int ctl_mqtt_publish(struct ctl_mqtt_client *client, const char *topic, bool *allowed, struct guard_error *err)
{
    put_text(&client->out, topic);
    put_packet_id(client);
    guard_buffer_append(&client->out, "\0?", 2); /* no properties */
    int rc = send_packet(client, PUBLISH | 0x02, err);
    if (rc == GUARD_OK)
        rc = wait_for(client, PUBACK, err);
    *allowed = octet(client, 2) < 0x80; /* left out: success */
    return rc;
}

int ctl_mqtt_subscribe(struct ctl_mqtt_client *client, const char *filter, bool *allowed, struct guard_error *err)
{
    put_packet_id(client);
    guard_buffer_byte(&client->out, 0);
    put_text(&client->out, filter);
    guard_buffer_byte(&client->out, 0x20); /* QoS 0; no retained messages: they are not what is asked about */
    int rc = send_packet(client, SUBSCRIBE, err);
    if (rc == GUARD_OK)
        rc = wait_for(client, SUBACK, err);
    *allowed = rc == GUARD_OK && client->in.length && octet(client, client->in.length - 1) < 0x80;
    return rc;
}

int ctl_mqtt_unsubscribe(struct ctl_mqtt_client *client, const char *filter, struct guard_error *err)
{
    put_packet_id(client);
    guard_buffer_byte(&client->out, 0);
    put_text(&client->out, filter);
    int rc = send_packet(client, UNSUBSCRIBE, err);
    return rc == GUARD_OK ? wait_for(client, UNSUBACK, err) : rc;
}

int ctl_mqtt_drain(struct ctl_mqtt_client *client, unsigned *messages, struct guard_error *err)
{
    int rc = send_packet(client, PINGREQ, err);
    if (rc == GUARD_OK)
        rc = wait_for(client, PINGRESP, err);
    *messages = client->messages;
    client->messages = 0;
    return rc;
}

void ctl_mqtt_close(struct ctl_mqtt_client **client_pointer)
{
    struct ctl_mqtt_client *client = *client_pointer;
    *client_pointer = NULL;
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    guard_buffer_free(&client->out);
    guard_buffer_free(&client->in);
    free(client);
}
