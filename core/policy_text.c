#include "core/policy_text.h"

#include "core/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK (64 * 1024)

struct guard_policy_arena {
    struct guard_policy_arena *previous;
    size_t used, size;
    char bytes[];
};

static char *arena_copy(struct guard_policy_text *text, const char *string)
{
    size_t size = strlen(string) + 1;
    struct guard_policy_arena *block = text->arena;
    if (!block || block->size - block->used < size) {
        size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
        block = malloc(sizeof *block + room);
        if (!block)
            return NULL;
        *block = (struct guard_policy_arena){.previous = text->arena, .size = room};
        text->arena = block;
    }
    char *copy = memcpy(block->bytes + block->used, string, size);
    block->used += size;
    return copy;
}

static const char *shared_copy(struct guard_policy_text *text, const char *string, const char *previous)
{
    if (previous && strcmp(previous, string) == 0)
        return previous;
    return arena_copy(text, string);
}

int guard_policy_text_add(struct guard_policy_text *text, const struct guard_policy_line *line)
{
    if (text->count == text->capacity) {
        size_t capacity = text->capacity ? text->capacity * 2 : 64;
        struct guard_policy_line *grown =
            guard_regrow(text->lines, text->count * sizeof *grown, capacity * sizeof *grown);
        if (!grown)
            return GUARD_ERR_NOMEM;
        text->lines = grown;
        text->capacity = capacity;
    }
    const struct guard_policy_line *before = text->count ? &text->lines[text->count - 1] : NULL;
    struct guard_policy_line copy = *line;
    copy.name = shared_copy(text, line->name, before ? before->name : NULL);
    copy.place = shared_copy(text, line->place, before ? before->place : NULL);
    copy.field = arena_copy(text, line->field);
    copy.value = arena_copy(text, line->value);
    if (!copy.name || !copy.place || !copy.field || !copy.value)
        return GUARD_ERR_NOMEM;
    text->lines[text->count++] = copy;
    return GUARD_OK;
}

void guard_policy_text_free(struct guard_policy_text *text)
{
    while (text->arena) {
        struct guard_policy_arena *block = text->arena;
        text->arena = block->previous;
        guard_wipe(block->bytes, block->used);
        free(block);
    }
    free(text->lines);
    *text = (struct guard_policy_text){0};
}

void guard_problems_add(struct guard_problems *problems, enum guard_severity severity, const char *place, unsigned line,
                        unsigned column, const char *format, ...)
{
    if (!problems)
        return;
    if (severity == GUARD_PROBLEM_ERROR)
        problems->errors++;
    else
        problems->warnings++;
    if (problems->count >= GUARD_PROBLEMS_MAX)
        return;
    struct guard_problem *grown = reallocarray(problems->items, problems->count + 1, sizeof *grown);
    if (!grown)
        return;
    problems->items = grown;
    struct guard_problem *problem = &grown[problems->count++];
    problem->severity = severity;
    problem->error = (struct guard_error){.code = GUARD_ERR_SYNTAX, .line = line, .column = column};
    snprintf(problem->error.place, sizeof problem->error.place, "%s", place ? place : "");
    va_list args;
    va_start(args, format);
    vsnprintf(problem->error.text, sizeof problem->error.text, format, args);
    va_end(args);
}

void guard_problems_free(struct guard_problems *problems)
{
    free(problems->items);
    *problems = (struct guard_problems){0};
}
