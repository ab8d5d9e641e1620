#include "acl/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}; /* ::ffff:0:0/96 */

bool acl_address_parse(const char *text, size_t length, uint8_t out[16])
{
    char buffer[INET6_ADDRSTRLEN];
    const char *zone = memchr(text, '%', length);
    if (zone)
        length = (size_t)(zone - text);
    if (!length || length >= sizeof buffer)
        return false;
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    if (memchr(buffer, ':', length))
        return inet_pton(AF_INET6, buffer, out) == 1;
    memcpy(out, mapped, sizeof mapped);
    return inet_pton(AF_INET, buffer, out + sizeof mapped) == 1;
}

static bool parse_prefix(const char *text, size_t length, unsigned limit, unsigned *out)
{
    unsigned value = 0;
    if (!length || length > 3)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return value <= limit;
}

static void clear_host(struct acl_net *net)
{
    for (unsigned bit = net->prefix; bit < 128; bit++)
        net->address[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
}

bool acl_net_parse(const char *text, size_t length, struct acl_net *out)
{
    const char *slash = memchr(text, '/', length);
    size_t address = slash ? (size_t)(slash - text) : length;
    if (!acl_address_parse(text, address, out->address))
        return false;
    bool dotted = !memchr(text, ':', address);
    unsigned prefix = dotted ? 32 : 128;
    if (slash && !parse_prefix(slash + 1, length - address - 1, prefix, &prefix))
        return false;
    out->prefix = (uint8_t)(dotted ? prefix + 96 : prefix);
    clear_host(out);
    return true;
}

bool acl_net_holds(const struct acl_net *net, const uint8_t address[16])
{
    unsigned whole = net->prefix / 8, rest = net->prefix % 8;
    if (memcmp(net->address, address, whole) != 0)
        return false;
    return !rest || (uint8_t)(net->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

char *acl_net_format(const struct acl_net *net, char buffer[ACL_NET_TEXT])
{
    char text[INET6_ADDRSTRLEN] = "";
    bool v4 = net->prefix >= 96 && memcmp(net->address, mapped, sizeof mapped) == 0;
    if (v4)
        inet_ntop(AF_INET, net->address + sizeof mapped, text, sizeof text);
    else
        inet_ntop(AF_INET6, net->address, text, sizeof text);
    snprintf(buffer, ACL_NET_TEXT, "%s/%u", text, v4 ? net->prefix - 96U : net->prefix);
    return buffer;
}
