/* Room for the descriptors of clients to come. */
#ifndef GUARD_PLUGIN_DESCRIPTORS_H
#define GUARD_PLUGIN_DESCRIPTORS_H

/*
 * Makes the kernel's table of this process's descriptors as large as it may become (RLIMIT_NOFILE, at most 131,072
 * descriptors: 1 MiB). The table doubles when it is full, and where threads share it the accept() that does it waits
 * for the other processors: 9 to 13 ms measured at the 256th and the 512th client, in which the broker does nothing
 * else. To be called before the first thread is started. That it fails costs nothing but those stalls.
 */
void guard_descriptors_reserve(void);

#endif
