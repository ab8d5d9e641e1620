#include "plugin/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define RESERVED_MAX 131072

void guard_descriptors_reserve(void)
{
    struct rlimit limit;
    int any = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (any < 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        int highest = limit.rlim_cur < RESERVED_MAX ? (int)limit.rlim_cur - 1 : RESERVED_MAX - 1;
        int high = fcntl(any, F_DUPFD_CLOEXEC, highest); /* the table never shrinks again */
        if (high >= 0)
            close(high);
    }
    close(any);
}
