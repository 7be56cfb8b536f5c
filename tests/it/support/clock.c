// A system clock that stands at $CLOCK_AT, in seconds since 1970: for the ones that no settable clock of ours can have,
// since tiny_http and jiff ask the system themselves. cc -shared -fPIC, then LD_PRELOAD.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *time) {
    long done = syscall(SYS_clock_gettime, id, time);
    const char *at = getenv("CLOCK_AT");
    if (id == CLOCK_REALTIME && at) {
        time->tv_sec = strtoll(at, NULL, 10);
    }
    return (int)done;
}
