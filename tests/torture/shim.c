/* Fails, shortens or ends a process at the nth system call on files below a folder, and lets clocks jump. Loaded by LD_PRELOAD;
   idle until torture_arm is given the record that says what to do, which lies in memory shared with the process that watches. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT, FAIL, FAIL_ON, SHORT, KILL, TORN };

struct record {
    int64_t seen, nth, fired, mode, error, clocks; /* clocks: a seed, 0 leaves them alone */
    char call[32], prefix[1024];
};

static struct record *armed;

void torture_arm(struct record *record) { armed = record; }

static void *original(const char *name) { return dlsym(RTLD_NEXT, name); }

static int below(const char *path) {
    char whole[4096];
    size_t length = strlen(armed->prefix);
    if (path[0] != '/') path = getcwd(whole, sizeof whole) ? whole : "";
    return !strncmp(path, armed->prefix, length) && (path[length] == '/' || !path[length]);
}

static int held_below(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return path[0] == '/' && below(path);
}

/* Whether this call is the one, and what is to be done: 0 nothing, else a mode. */
static int due(int counts, const char *call) {
    if (!counts) return 0;
    int64_t number = ++armed->seen;
    int now = armed->mode == FAIL_ON ? number >= armed->nth : number == armed->nth;
    if (armed->mode == COUNT || !now) return 0;
    if (!armed->fired) strncpy(armed->call, call, sizeof armed->call - 1);
    armed->fired = number;
    if (armed->mode == KILL) kill(0, SIGKILL);
    return (int)armed->mode;
}

static int failing(int counts, const char *call, int reads) {
    int mode = due(counts, call);
    if (!mode) return 0;
    if (mode == TORN) kill(0, SIGKILL);
    errno = reads || mode == SHORT ? EIO : (int)armed->error;
    return 1;
}

#define NEXT(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) next = (type(*)(__VA_ARGS__))original(name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(int, #name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (armed && failing(below(path), #name, !(flags & (O_WRONLY | O_RDWR)))) return -1; \
        return next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        NEXT(int, #name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (armed && failing(below(path), #name, !(flags & (O_WRONLY | O_RDWR)))) return -1; \
        return next(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

/* A write may also write half: SHORT then says so, TORN then kills. */
#define WRITE(name, arguments, passed, ...) \
    ssize_t name(int fd, const void *bytes, size_t size arguments) { \
        NEXT(ssize_t, #name, int, const void *, size_t, ##__VA_ARGS__); \
        int mode = armed ? due(held_below(fd), #name) : 0; \
        if (mode == FAIL || mode == FAIL_ON) { \
            errno = (int)armed->error; \
            return -1; \
        } \
        if (mode) size = size > 1 ? size / 2 : size; \
        ssize_t written = next(fd, bytes, size passed); \
        if (mode == TORN) kill(0, SIGKILL); \
        return written; \
    }
#define COMMA ,
WRITE(write, , )
WRITE(pwrite, COMMA off_t at, COMMA at, off_t)
WRITE(pwrite64, COMMA off64_t at, COMMA at, off64_t)

#define READ(name, arguments, passed, ...) \
    ssize_t name(int fd, void *bytes, size_t size arguments) { \
        NEXT(ssize_t, #name, int, void *, size_t, ##__VA_ARGS__); \
        if (armed && failing(held_below(fd), #name, 1)) return -1; \
        return next(fd, bytes, size passed); \
    }
READ(read, , )
READ(pread, COMMA off_t at, COMMA at, off_t)
READ(pread64, COMMA off64_t at, COMMA at, off64_t)

#define ON_FD(name, arguments, passed, ...) \
    int name(int fd arguments) { \
        NEXT(int, #name, int, ##__VA_ARGS__); \
        if (armed && failing(held_below(fd), #name, 0)) return -1; \
        return next(fd passed); \
    }
ON_FD(fsync, , )
ON_FD(fdatasync, , )
ON_FD(ftruncate, COMMA off_t size, COMMA size, off_t)
ON_FD(ftruncate64, COMMA off64_t size, COMMA size, off64_t)

int close(int fd) { /* the descriptor is gone even where it fails */
    NEXT(int, "close", int);
    int fails = armed && failing(held_below(fd), "close", 0), error = errno, status = next(fd);
    if (!fails) return status;
    errno = error;
    return -1;
}

#define ON_PATH(name, path, arguments, passed, ...) \
    int name(arguments) { \
        NEXT(int, #name, __VA_ARGS__); \
        if (armed && failing(below(path), #name, 0)) return -1; \
        return next(passed); \
    }
ON_PATH(unlink, path, const char *path, path, const char *)
ON_PATH(unlinkat, path, int folder COMMA const char *path COMMA int flags, folder COMMA path COMMA flags, int, const char *, int)
ON_PATH(rename, to, const char *from COMMA const char *to, from COMMA to, const char *, const char *)
ON_PATH(mkdir, path, const char *path COMMA mode_t mode, path COMMA mode, const char *, mode_t)

/* Clocks: the time of day jumps by up to 11 days either way at each look, the monotonic clock only forwards, by up to a second. */
static int64_t jump(int64_t most) {
    static uint64_t state;
    if (!state) state = (uint64_t)armed->clocks * 0x9E3779B97F4A7C15u + 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    armed->fired++;
    return (int64_t)(state >> 1) % most;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int64_t ahead;
    NEXT(int, "clock_gettime", clockid_t, struct timespec *);
    int status = next(clock, now);
    if (status || !armed || !armed->clocks) return status;
    if (clock == CLOCK_REALTIME) now->tv_sec += jump(2000000) - 1000000;
    if (clock == CLOCK_MONOTONIC) {
        if (jump(100) == 0) ahead += jump(1000000000);
        int64_t nanoseconds = now->tv_nsec + ahead;
        now->tv_sec += nanoseconds / 1000000000;
        now->tv_nsec = nanoseconds % 1000000000;
    }
    return status;
}

time_t time(time_t *result) {
    NEXT(time_t, "time", time_t *);
    time_t now = next(NULL);
    if (armed && armed->clocks) now += jump(2000000) - 1000000;
    if (result) *result = now;
    return now;
}

int gettimeofday(struct timeval *now, void *zone) {
    NEXT(int, "gettimeofday", struct timeval *, void *);
    int status = next(now, zone);
    if (!status && armed && armed->clocks) now->tv_sec += jump(2000000) - 1000000;
    return status;
}
