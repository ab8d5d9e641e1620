/* guardctl doctor: certificates and revocation lists of the broker that have ended or are about to. */
#include "ctl/doctor.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SOON_DAYS 14
#define NO_TIME   INT_MIN

/* Days until then, negative if it is over; NO_TIME if there is no such time. */
static int days_until(const ASN1_TIME *when)
{
    int days, seconds;
    if (!when || !ASN1_TIME_diff(&days, &seconds, NULL, when))
        return NO_TIME;
    return seconds < 0 && days == 0 ? -1 : days;
}

/* The server's own certificate: the first one. */
static int days_of_first(FILE *file)
{
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    int days = certificate ? days_until(X509_get0_notAfter(certificate)) : NO_TIME;
    X509_free(certificate);
    return days;
}

/* A bundle of authorities serves as long as one of them lasts. */
static int days_of_last(FILE *file)
{
    int days = NO_TIME;
    for (X509 *certificate; (certificate = PEM_read_X509(file, NULL, NULL, NULL)); X509_free(certificate)) {
        int own = days_until(X509_get0_notAfter(certificate));
        days = own > days ? own : days;
    }
    return days;
}

/* Without a valid list, OpenSSL refuses all clients of that authority. */
static int days_of_lists(FILE *file)
{
    int days = NO_TIME;
    for (X509_CRL *list; (list = PEM_read_X509_CRL(file, NULL, NULL, NULL)); X509_CRL_free(list)) {
        int own = days_until(X509_CRL_get0_nextUpdate(list));
        if (own != NO_TIME && (days == NO_TIME || own < days))
            days = own;
    }
    return days;
}

static void check(struct doctor *doctor, const struct doctor_setting *setting, int (*days_of)(FILE *))
{
    FILE *file = fopen(setting->value, "re");
    if (!file)
        return; /* doctor_check_files says it */
    int days = days_of(file);
    fclose(file);
    ERR_clear_error();
    if (days == NO_TIME || days > SOON_DAYS)
        return;
    if (days < 0)
        doctor_add(&doctor->report, DOCTOR_CERTIFICATE_ENDED, setting->place, "%s: over since %d day%s", setting->value,
                   -days, days == -1 ? "" : "s");
    else
        doctor_add(&doctor->report, DOCTOR_CERTIFICATE_ENDS, setting->place, "%s: %d day%s left", setting->value, days,
                   days == 1 ? "" : "s");
}

void doctor_check_certificates(struct doctor *doctor)
{
    static const struct {
        const char *name;
        int (*days_of)(FILE *);
    } files[] = {{"certfile", days_of_first}, {"cafile", days_of_last}, {"crlfile", days_of_lists}};
    for (size_t i = 0; i < doctor->conf.setting_count; i++)
        for (size_t k = 0; k < sizeof files / sizeof *files; k++)
            if (strcmp(doctor->conf.settings[i].name, files[k].name) == 0)
                check(doctor, &doctor->conf.settings[i], files[k].days_of);
}
