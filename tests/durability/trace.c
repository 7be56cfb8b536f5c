/* Preloaded into mailtrail (LD_PRELOAD), it writes down what is done to the files of one directory, in the order in
 * which it is done: writes with their bytes, truncations, flushes, names that come and go. power_cuts.py replays it.
 *
 * MAILTRAIL_TRACE_DIRECTORY is that directory, MAILTRAIL_TRACE the file to append to. A record is: operation (1 byte),
 * length of the name (2), offset or size (8), length of the data (4), little-endian; then the name and the data.
 * Flushes are not passed on, for nobody cuts the power of this machine; they take a while instead, so that an answer
 * given before its flush was over is seen before it in the trace. Left out: what is no part of the database (-shm, which a
 * power cut empties, the lock, the socket, the ballast), and writes by mmap, of which SQLite does none here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 65536
#define FLUSH_MICROS 300
enum { CREATE = 1, WRITE, SYNC, TRUNCATE, UNLINK, RENAME, SYNC_DIRECTORY };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static const char *directory;
static size_t directory_length;
static int trace = -1;
/* The names of open files; "" is the directory itself. */
static char *names[MOST];

static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int), (*real_unlink)(const char *), (*real_rename)(const char *, const char *);
static int (*real_ftruncate)(int, off_t), (*real_fsync)(int), (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

__attribute__((constructor)) static void start(void) {
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_close = dlsym(RTLD_NEXT, "close");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    const char *file = getenv("MAILTRAIL_TRACE");
    directory = getenv("MAILTRAIL_TRACE_DIRECTORY");
    if (!file || !directory) return;
    directory_length = strlen(directory);
    trace = real_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name in the directory, NULL for what is elsewhere or does not count. */
static const char *counted(const char *path) {
    if (trace < 0 || !path || strncmp(path, directory, directory_length)) return NULL;
    const char *name = path + directory_length;
    if (!*name || !strcmp(name, "/")) return "";
    if (*name++ != '/' || strchr(name, '/')) return NULL;
    size_t length = strlen(name);
    if (length > 4 && !strcmp(name + length - 4, "-shm")) return NULL;
    if (!strcmp(name, "mailtrail.lock") || !strcmp(name, "mailtrail.sock") || !strcmp(name, "ballast")) return NULL;
    return name;
}

static void note(uint8_t operation, const char *name, uint64_t at, const void *data, uint32_t length) {
    uint16_t name_length = strlen(name);
    unsigned char head[15];
    head[0] = operation;
    memcpy(head + 1, &name_length, 2);
    memcpy(head + 3, &at, 8);
    memcpy(head + 11, &length, 4);
    struct iovec parts[3] = {{head, 15}, {(void *)name, name_length}, {(void *)data, length}};
    if (writev(trace, parts, 3) != (ssize_t)(15 + name_length + length)) abort();
}

static const char *name_of(int fd) { return fd >= 0 && fd < MOST ? names[fd] : NULL; }

static int open_noted(int at, const char *path, int flags, mode_t mode) {
    const char *name = counted(path);
    if (!name) return real_openat(at, path, flags, mode);
    pthread_mutex_lock(&turn);
    struct stat found;
    int is_new = *name && (flags & O_CREAT) && stat(path, &found) != 0;
    int fd = real_openat(at, path, flags, mode);
    int error = errno;
    if (fd >= 0 && fd < MOST) {
        free(names[fd]);
        names[fd] = strdup(name);
        if (is_new) note(CREATE, name, 0, NULL, 0);
        else if (*name && (flags & O_TRUNC)) note(TRUNCATE, name, 0, NULL, 0);
    }
    pthread_mutex_unlock(&turn);
    errno = error;
    return fd;
}

#define MODE                                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if (flags & O_CREAT) {                                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }
int open(const char *path, int flags, ...) { MODE return open_noted(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_noted(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return open_noted(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return open_noted(at, path, flags, mode); }

int close(int fd) {
    if (!name_of(fd)) return real_close(fd);
    pthread_mutex_lock(&turn);
    free(names[fd]);
    names[fd] = NULL;
    int result = real_close(fd);
    pthread_mutex_unlock(&turn);
    return result;
}

/* SQLite and Rust's File::write_all on a new file: the position is the end of what was written before. */
ssize_t write(int fd, const void *data, size_t length) {
    const char *name = name_of(fd);
    if (!name || !*name) return real_write(fd, data, length);
    pthread_mutex_lock(&turn);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t written = real_write(fd, data, length);
    if (written > 0) note(WRITE, name, at, data, written);
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) {
    const char *name = name_of(fd);
    if (!name || !*name) return real_pwrite(fd, data, length, at);
    pthread_mutex_lock(&turn);
    ssize_t written = real_pwrite(fd, data, length, at);
    if (written > 0) note(WRITE, name, at, data, written);
    pthread_mutex_unlock(&turn);
    return written;
}
ssize_t pwrite64(int fd, const void *data, size_t length, off_t at) { return pwrite(fd, data, length, at); }

int ftruncate(int fd, off_t size) {
    const char *name = name_of(fd);
    if (!name || !*name) return real_ftruncate(fd, size);
    pthread_mutex_lock(&turn);
    int result = real_ftruncate(fd, size);
    if (!result) note(TRUNCATE, name, size, NULL, 0);
    pthread_mutex_unlock(&turn);
    return result;
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

static int flush(int fd, int (*real)(int)) {
    const char *name = name_of(fd);
    if (!name) return real(fd);
    usleep(FLUSH_MICROS);
    pthread_mutex_lock(&turn);
    note(*name ? SYNC : SYNC_DIRECTORY, name, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return 0;
}
int fsync(int fd) { return flush(fd, real_fsync); }
int fdatasync(int fd) { return flush(fd, real_fdatasync); }

int unlink(const char *path) {
    const char *name = counted(path);
    if (!name) return real_unlink(path);
    pthread_mutex_lock(&turn);
    int result = real_unlink(path);
    if (!result) note(UNLINK, name, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int rename(const char *from, const char *to) {
    const char *old = counted(from), *new = counted(to);
    if (!old || !new) return real_rename(from, to);
    pthread_mutex_lock(&turn);
    int result = real_rename(from, to);
    if (!result) note(RENAME, old, 0, new, strlen(new));
    pthread_mutex_unlock(&turn);
    return result;
}
