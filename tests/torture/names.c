/* When preloaded, gives a process another clock and another process number, like those of a second container.
 *
 *   TORTURE_SECONDS  the time at which the clock stands still, in seconds since 1970; torture_seconds(n) changes it
 *   TORTURE_PID      what getpid() returns
 *   TORTURE_BLIND    if set, directories look empty, as they do just before another process makes a file
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static atomic_llong seconds;
static pid_t pid;

static void __attribute__((constructor)) read_environment(void)
{
    const char *text = getenv("TORTURE_SECONDS");
    seconds = text == NULL ? 0 : atoll(text);
    text = getenv("TORTURE_PID");
    pid = text == NULL ? 0 : atoi(text);
}

void torture_seconds(long long now)
{
    seconds = now;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (seconds != 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        *now = (struct timespec){.tv_sec = (time_t)seconds};
    return result;
}

time_t time(time_t *now)
{
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now != NULL)
        *now = found.tv_sec;
    return found.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    *now = (struct timeval){.tv_sec = time(NULL)};
    return 0;
}

pid_t getpid(void)
{
    return pid != 0 ? pid : (pid_t)syscall(SYS_getpid);
}

struct dirent *readdir(DIR *directory)
{
    return getenv("TORTURE_BLIND") != NULL ? NULL : (struct dirent *)readdir64(directory); /* the same on 64 bits */
}
