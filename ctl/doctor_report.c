/* guardctl doctor: the list of what was found. */
#include "ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DOCTOR_KIND(name, id, severity, finds, advice) [DOCTOR_##name] = {id, DOCTOR_##severity, finds, advice},
const struct doctor_kind doctor_kinds[DOCTOR_KIND_COUNT] = {DOCTOR_KINDS(DOCTOR_KIND)};

void doctor_add(struct doctor_report *report, enum doctor_id id, struct doctor_place place, const char *format, ...)
{
    struct doctor_finding *items = reallocarray(report->items, report->count + 1, sizeof *items);
    char *why = NULL;
    va_list args;
    va_start(args, format);
    int length = items ? vasprintf(&why, format, args) : -1;
    va_end(args);
    if (items)
        report->items = items;
    if (length < 0) {
        report->failed = true;
        return;
    }
    items[report->count++] = (struct doctor_finding){&doctor_kinds[id], place, why};
    report->of[doctor_kinds[id].severity]++;
}

void doctor_report_free(struct doctor_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->items[i].why);
    free(report->items);
    *report = (struct doctor_report){0};
}
