/* The keys whose content was not taken, so that each is reported once and not at every reconnect. */
#ifndef GUARD_STORE_FAULTS_H
#define GUARD_STORE_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard_fault_entry {
    char *key;
    uint64_t digest; /* of what was said about it */
    bool seen;
};

/* Zero-initialise; guard_faults_free releases. */
struct guard_faults {
    struct guard_fault_entry *items;
    size_t count, capacity;
};

/* Notes a fault; true if it is new or another than before, and so to be reported. At most 10,000 are held. */
bool guard_faults_note(struct guard_faults *faults, const char *key, uint64_t digest);
/* The key is fine now. */
void guard_faults_clear(struct guard_faults *faults, const char *key);
/* Before and after everything is read: faults not noted in between are gone. */
void guard_faults_begin(struct guard_faults *faults);
void guard_faults_sweep(struct guard_faults *faults);
void guard_faults_free(struct guard_faults *faults);

#endif
