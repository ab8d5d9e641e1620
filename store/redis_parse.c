#include "store/redis_parse.h"

#include "core/memory.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE   (64 * 1024)
#define ELEMENTS_MAX (16u << 20) /* of one array: nothing we ask for comes near */

/* Replies are made of many small pieces and dropped as a whole: blocks that are filled in turn and kept. */
struct block {
    struct block *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

struct guard_redis_parser {
    redisReplyObjectFunctions functions;
    redisReader *reader;
    struct block *first, *at;
};

static void *take(struct guard_redis_parser *parser, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    while (parser->at && parser->at->size - parser->at->used < size && parser->at->next) {
        parser->at = parser->at->next;
        parser->at->used = 0;
    }
    if (!parser->at || parser->at->size - parser->at->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct block *block = malloc(sizeof *block + room);
        if (!block)
            return NULL;
        *block = (struct block){.size = room};
        if (parser->at)
            parser->at->next = block;
        else
            parser->first = block;
        parser->at = block;
    }
    void *memory = parser->at->bytes + parser->at->used;
    parser->at->used += size;
    return memory;
}

/* Makes room for the next reply; a block of unusual size is given back. */
static void rewind_blocks(struct guard_redis_parser *parser)
{
    struct block **link = &parser->first;
    while (*link) {
        struct block *block = *link;
        if (block->size > BLOCK_SIZE) {
            *link = block->next;
            free(block);
        } else {
            link = &block->next;
        }
    }
    parser->at = parser->first;
    if (parser->at)
        parser->at->used = 0;
}

static struct guard_reply *new_reply(const redisReadTask *task, enum guard_reply_type type)
{
    struct guard_reply *reply = take(task->privdata, sizeof *reply);
    if (!reply)
        return NULL;
    *reply = (struct guard_reply){.type = type};
    if (task->parent) {
        struct guard_reply *parent = task->parent->obj;
        parent->items[task->idx] = reply;
    }
    return reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t length)
{
    enum guard_reply_type type = task->type == REDIS_REPLY_ERROR    ? GUARD_REPLY_ERROR
                                 : task->type == REDIS_REPLY_STATUS ? GUARD_REPLY_STATUS
                                                                    : GUARD_REPLY_STRING;
    struct guard_reply *reply = new_reply(task, type);
    char *copy = reply ? take(task->privdata, length + 1) : NULL;
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    reply->text = copy;
    reply->length = length;
    return reply;
}

/* hiredis 1.0 made the count a size_t. */
#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

static void *create_array(const redisReadTask *task, element_count count)
{
    size_t elements = (size_t)count;
    struct guard_reply *reply = elements <= ELEMENTS_MAX ? new_reply(task, GUARD_REPLY_ARRAY) : NULL;
    if (!reply)
        return NULL;
    reply->items = take(task->privdata, (elements ? elements : 1) * sizeof(struct guard_reply *));
    reply->count = elements;
    return reply->items ? reply : NULL;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct guard_reply *reply = new_reply(task, GUARD_REPLY_INTEGER);
    if (reply)
        reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return new_reply(task, GUARD_REPLY_NIL);
}

static void free_object(void *object)
{
    (void)object; /* belongs to the blocks */
}

struct guard_redis_parser *guard_redis_parser_new(void)
{
    struct guard_redis_parser *parser = calloc(1, sizeof *parser);
    if (!parser)
        return NULL;
    parser->functions = (redisReplyObjectFunctions){.createString = create_string,
                                                    .createArray = create_array,
                                                    .createInteger = create_integer,
                                                    .createNil = create_nil,
                                                    .freeObject = free_object};
    parser->reader = redisReaderCreateWithFunctions(&parser->functions);
    if (!parser->reader) {
        free(parser);
        return NULL;
    }
    parser->reader->privdata = parser;
    return parser;
}

void guard_redis_parser_free(struct guard_redis_parser **parser)
{
    if (!*parser)
        return;
    for (struct block *block = (*parser)->first, *next; block; block = next) {
        next = block->next;
        guard_wipe(block->bytes, block->size);
        free(block);
    }
    redisReaderFree((*parser)->reader);
    free(*parser);
    *parser = NULL;
}

bool guard_redis_parser_feed(struct guard_redis_parser *parser, const char *bytes, size_t length)
{
    return redisReaderFeed(parser->reader, bytes, length) == REDIS_OK;
}

const struct guard_reply *guard_redis_parser_next(struct guard_redis_parser *parser, bool *failed)
{
    void *reply = NULL;
    if (!parser->reader->reply) /* not in the middle of one */
        rewind_blocks(parser);
    *failed = redisReaderGetReply(parser->reader, &reply) != REDIS_OK;
    return *failed ? NULL : reply;
}

bool guard_reply_is(const struct guard_reply *reply, const char *text)
{
    return reply && (reply->type == GUARD_REPLY_STRING || reply->type == GUARD_REPLY_STATUS) &&
           strlen(text) == reply->length && memcmp(reply->text, text, reply->length) == 0;
}

const char *guard_reply_text(const struct guard_reply *reply, size_t index)
{
    if (!reply || reply->type != GUARD_REPLY_ARRAY || index >= reply->count)
        return NULL;
    const struct guard_reply *item = reply->items[index];
    return item->type == GUARD_REPLY_STRING && strlen(item->text) == item->length ? item->text : NULL;
}
