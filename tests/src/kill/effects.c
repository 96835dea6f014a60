/*
 * Counts the effects that a process has on the world outside it, and ends it with SIGKILL at one of them.
 *
 * Loaded with LD_PRELOAD. Two kinds of effect are counted, each from 1, over all threads:
 *   sync   fsync and fdatasync: what was written before is on the disk from here on (each commit of the journal)
 *   send   a call that hands bytes to a TCP socket (SSH); D-Bus is spoken past the C library
 * KEYWHEEL_KILL_LOG names a file that gets a line for each effect that is over:
 *   sync NUMBER wal END | sync NUMBER db 0 | sync NUMBER other 0 | send NUMBER net LENGTH
 * (END: how far the write-ahead log is on the disk now.)
 * KEYWHEEL_KILL_AT says where the process ends: "sync 12 before", "send 3 in", "sync 4 after". "in" is half of it: half
 * of the bytes are sent; of a sync's writes the first is torn in half, and nothing is synced. "sync 5 full" ends nothing:
 * the disk is full for the database and its log from there on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum effect { SYNC, SEND };
enum moment { BEFORE, IN, AFTER, FULL };

static const char *const EFFECTS[] = {"sync", "send"};
static const char *const MOMENTS[] = {"before", "in", "after", "full"};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned counted[2];
static long long wal_end;
static int log_file = -1;
static unsigned wanted_number;
static enum effect wanted_effect;
static enum moment wanted_moment;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("KEYWHEEL_KILL_LOG"), *at = getenv("KEYWHEEL_KILL_AT");
    char effect[8], moment[8];
    if (path) log_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!at || sscanf(at, "%7s %u %7s", effect, &wanted_number, moment) != 3) return;
    wanted_effect = strcmp(effect, "send") ? SYNC : SEND;
    while (wanted_moment < FULL && strcmp(moment, MOMENTS[wanted_moment])) wanted_moment++;
}

static void end_here(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static unsigned count(enum effect effect) {
    pthread_mutex_lock(&lock);
    unsigned number = ++counted[effect];
    pthread_mutex_unlock(&lock);
    return number;
}

static int is_at(enum effect effect, unsigned number, enum moment moment) {
    return number == wanted_number && effect == wanted_effect && moment == wanted_moment;
}

static void tell(enum effect effect, unsigned number, const char *what, long long size) {
    char line[80];
    int length = snprintf(line, sizeof line, "%s %u %s %lld\n", EFFECTS[effect], number, what, size);
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (log_file >= 0 && real(log_file, line, (size_t)length) < 0) abort();
}

static const char *kind_of(int fd) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return "other";
    path[length] = 0;
    const char *name = strrchr(path, '/');
    if (name && !strcmp(name, "/keywheel.db-wal")) return "wal";
    return name && !strcmp(name, "/keywheel.db") ? "db" : "other";
}

/*
 * Before a write to a file at this place: how much of it is written before the process ends; all of it, as a rule, and
 * less than nothing where there is no room.
 */
static ssize_t share_of_write(int fd, size_t length, long long at) {
    struct stat found;
    if (fstat(fd, &found) || !S_ISREG(found.st_mode)) return (ssize_t)length;
    const char *kind = kind_of(fd);
    if (!strcmp(kind, "other")) return (ssize_t)length;
    pthread_mutex_lock(&lock);
    if (wanted_moment == FULL && counted[SYNC] + 1 >= wanted_number) {
        pthread_mutex_unlock(&lock);
        errno = ENOSPC;
        return -1;
    }
    /* A log that begins anew is written from its head. */
    if (!strcmp(kind, "wal") && (at == 0 || at + (long long)length > wal_end)) wal_end = at + (long long)length;
    unsigned next = counted[SYNC] + 1;
    pthread_mutex_unlock(&lock);
    return (ssize_t)(is_at(SYNC, next, IN) ? length / 2 : length);
}

#define WRITES_AT(name) \
    ssize_t name(int fd, const void *bytes, size_t length, off_t at) { \
        REAL(name); \
        ssize_t share = share_of_write(fd, length, at); \
        if (share < 0) return -1; \
        ssize_t done = real(fd, bytes, (size_t)share, at); \
        if ((size_t)share < length) end_here(); \
        return done; \
    }
WRITES_AT(pwrite)
WRITES_AT(pwrite64)

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    ssize_t share = share_of_write(fd, length, lseek(fd, 0, SEEK_CUR));
    if (share < 0) return -1;
    ssize_t done = real(fd, bytes, (size_t)share);
    if ((size_t)share < length) end_here();
    return done;
}

#define SYNCS(name) \
    int name(int fd) { \
        REAL(name); \
        unsigned number = count(SYNC); \
        const char *kind = kind_of(fd); \
        long long end = strcmp(kind, "wal") ? 0 : wal_end; \
        if (is_at(SYNC, number, BEFORE) || is_at(SYNC, number, IN)) end_here(); \
        int done = real(fd); \
        tell(SYNC, number, kind, end); \
        if (is_at(SYNC, number, AFTER)) end_here(); \
        return done; \
    }
SYNCS(fsync)
SYNCS(fdatasync)

static int is_network(int fd) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length)) return 0;
    return address.ss_family == AF_INET || address.ss_family == AF_INET6;
}

static ssize_t sent(unsigned number, ssize_t done) {
    tell(SEND, number, "net", (long long)done);
    if (is_at(SEND, number, AFTER)) end_here();
    return done;
}

/* Half of a message, which is all that leaves the process. */
static void send_half(int fd, const struct iovec *parts, size_t count) {
    size_t all = 0;
    for (size_t i = 0; i < count; i++) all += parts[i].iov_len;
    size_t left = all / 2;
    for (size_t i = 0; i < count && left; i++) {
        size_t share = parts[i].iov_len < left ? parts[i].iov_len : left;
        ssize_t (*real)(int, const void *, size_t, int) = (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
        if (real(fd, parts[i].iov_base, share, MSG_NOSIGNAL) < 0) break;
        left -= share;
    }
    end_here();
}

#define SENDS(call, parts, parts_count) \
    if (!is_network(fd)) return call; \
    unsigned number = count(SEND); \
    if (is_at(SEND, number, BEFORE)) end_here(); \
    if (is_at(SEND, number, IN)) send_half(fd, parts, parts_count); \
    return sent(number, call)

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    REAL(send);
    struct iovec part = {(void *)bytes, length};
    SENDS(real(fd, bytes, length, flags), &part, 1);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL(sendmsg);
    SENDS(real(fd, message, flags), message->msg_iov, message->msg_iovlen);
}

ssize_t writev(int fd, const struct iovec *parts, int parts_count) {
    REAL(writev);
    SENDS(real(fd, parts, parts_count), parts, (size_t)parts_count);
}
