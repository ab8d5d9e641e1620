#include "audit/note.h"

#include "core/base64.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_NAME "mosquitto-audit-note-v1"
#define FILE_NAME ".head"
#define TEXT_SIZE 384
#define NOTHING   "-"

/* What is signed. Returns its length. */
static size_t note_text(const struct audit_note *note, const char *key_id, char text[TEXT_SIZE])
{
    return (size_t)snprintf(text, TEXT_SIZE, NOTE_NAME "\n%s\n%llu\n%s\n%s\n%llu\n%s\n%s\n", note->chain,
                            (unsigned long long)note->sequence, note->head, note->file,
                            (unsigned long long)note->offset, *note->next ? note->next : NOTHING, key_id);
}

/* In place: the note is shorter than what a disk writes at once, and no second file can be left behind by a crash. */
static bool put(const struct audit_segments *segments, const char *text, size_t length)
{
    int fd = openat(segments->dir, FILE_NAME, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    audit_segments_own(segments, fd);
    bool good = pwrite(fd, text, length, 0) == (ssize_t)length && ftruncate(fd, (off_t)length) == 0;
    close(fd);
    return good;
}

bool audit_note_write(const struct audit_segments *segments, const struct audit_note *note, struct audit_key *key)
{
    char text[TEXT_SIZE + GUARD_BASE64_ENCODED(AUDIT_SIGNATURE_SIZE) + 1];
    unsigned char signature[AUDIT_SIGNATURE_SIZE];
    size_t length = note_text(note, key->key ? key->id : NOTHING, text);
    if (key->key) {
        if (!audit_key_sign(key, text, length, signature))
            return false;
        guard_base64_encode(signature, sizeof signature, text + length);
        length += strlen(text + length);
        text[length++] = '\n';
    }
    return put(segments, text, length);
}

static bool get(const struct audit_segments *segments, char *text, size_t size)
{
    int fd = openat(segments->dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    return fd >= 0 && got != 0;
}

static bool is_signed_by(struct audit_key *key, const char *text, size_t length, const char *encoded)
{
    unsigned char signature[GUARD_BASE64_DECODED(GUARD_BASE64_ENCODED(AUDIT_SIGNATURE_SIZE))];
    size_t size = strlen(encoded);
    return size < GUARD_BASE64_ENCODED(AUDIT_SIGNATURE_SIZE) &&
           guard_base64_decode(encoded, size, signature) == AUDIT_SIGNATURE_SIZE &&
           audit_key_verify(key, text, length, signature, AUDIT_SIGNATURE_SIZE);
}

enum audit_note_state audit_note_read(const struct audit_segments *segments, struct audit_key *key,
                                      struct audit_note *note)
{
    char content[2 * TEXT_SIZE], text[TEXT_SIZE], id[AUDIT_KEY_ID_SIZE] = "", encoded[128] = "";
    unsigned long long sequence, offset;
    memset(note, 0, sizeof *note);
    if (!get(segments, content, sizeof content))
        return AUDIT_NOTE_NONE;
    int read = sscanf(
        content, NOTE_NAME "\n%12[0-9a-f]\n%llu\n%64[0-9a-f]\n%63[^\n]\n%llu\n%12[0-9a-f-]\n%16[0-9a-f-]\n%127[^\n]",
        note->chain, &sequence, note->head, note->file, &offset, note->next, id, encoded);
    note->sequence = sequence;
    note->offset = offset;
    if (strcmp(note->next, NOTHING) == 0)
        *note->next = '\0';
    if (read < 7 || !audit_file_number(note->file) || strlen(note->head) != 2 * (size_t)AUDIT_HASH_SIZE)
        return AUDIT_NOTE_BAD;
    if (!key->key)
        return strcmp(id, NOTHING) == 0 ? AUDIT_NOTE_GOOD : AUDIT_NOTE_OTHER_KEY;
    if (strcmp(id, NOTHING) != 0 && strcmp(id, key->id) != 0)
        return AUDIT_NOTE_OTHER_KEY;
    return is_signed_by(key, text, note_text(note, id, text), encoded) ? AUDIT_NOTE_GOOD : AUDIT_NOTE_BAD;
}

bool audit_note_holds(const struct audit_segments *segments, const struct audit_note *note)
{
    char expected[AUDIT_TAIL_LENGTH + 2], found[AUDIT_TAIL_LENGTH + 2];
    const size_t length = AUDIT_TAIL_LENGTH + 1;
    snprintf(expected, sizeof expected, ",\"hash\":\"%s\"}}\n", note->head);
    int fd = openat(segments->dir, note->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool holds =
        fd >= 0 && (!note->offset || (note->offset >= length &&
                                      pread(fd, found, length, (off_t)(note->offset - length)) == (ssize_t)length &&
                                      memcmp(found, expected, length) == 0));
    if (fd >= 0)
        close(fd);
    return holds;
}
