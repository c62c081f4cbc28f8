#define _GNU_SOURCE 1  // pipe2
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/process_support.h"

#define RUNNING_MAX 32

static pid_t running[RUNNING_MAX];

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void remember(pid_t old, pid_t pid) {
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        if (running[i] == old) {
            running[i] = pid;
            return;
        }
    }
    fail_msg("more than %d programs at once", RUNNING_MAX);
}

static int child_end(int wanted, int flags, int *ours, int side) {
    int ends[2];
    *ours = -1;
    if (wanted == PROCESS_NULL)
        return open("/dev/null", flags | O_CLOEXEC);
    if (wanted != PROCESS_PIPE)
        return fcntl(wanted, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *ours = ends[1 - side];
    return ends[side];
}

void process_start(process *p, const char *const words[], int in, int out) {
    *p = (process){.pid = -1};
    int fds[3] = {child_end(in, O_RDONLY, &p->in, 0), child_end(out, O_WRONLY, &p->out, 1),
                  child_end(PROCESS_PIPE, O_WRONLY, &p->err, 1)};
    p->pid = fork();
    if (p->pid == 0) {
        for (int i = 0; i < 3; i++)
            if (dup2(fds[i], i) < 0)
                _exit(125);
        (void)signal(SIGPIPE, SIG_DFL);
        execv(words[0], (char *const *)(uintptr_t)words);
        _exit(126);
    }
    assert_true(p->pid > 0);
    remember(0, p->pid);
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
}

// One more piece of standard error; false at its end. What does not fit is dropped.
static bool read_text(process *p, double deadline) {
    struct pollfd f = {.fd = p->err, .events = POLLIN};
    double left = deadline - now();
    if (left <= 0 || poll(&f, 1, (int)(left * 1000) + 1) <= 0)
        fail_msg("program %d still runs after %d seconds; it said: %s", (int)p->pid, PROCESS_SECONDS, p->text);
    char piece[1024];
    ssize_t n = read(p->err, piece, sizeof piece);
    if (n <= 0)
        return false;
    size_t room = sizeof p->text - 1 - p->text_len;
    size_t kept = (size_t)n < room ? (size_t)n : room;
    memcpy(p->text + p->text_len, piece, kept);
    p->text_len += kept;
    p->text[p->text_len] = '\0';
    return true;
}

const char *process_word(process *p, const char *mark) {
    static char word[4096];
    double deadline = now() + PROCESS_SECONDS;
    for (;;) {
        const char *at = strstr(p->text, mark);
        const char *from = at == NULL ? NULL : at + strlen(mark) + strspn(at + strlen(mark), " ");
        if (from != NULL && strchr(from, '\n') != NULL) {
            size_t len = strcspn(from, " \n");
            assert_true(len < sizeof word);
            memcpy(word, from, len);
            word[len] = '\0';
            return word;
        }
        if (!read_text(p, deadline))
            fail_msg("no '%s' in: %s", mark, p->text);
    }
}

static void close_end(int *fd) {
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int process_wait(process *p) {
    double deadline = now() + PROCESS_SECONDS;
    int status;
    while (read_text(p, deadline)) {}
    // Standard error is closed, so the rest is the end of the process itself.
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    remember(p->pid, 0);
    close_end(&p->in);
    close_end(&p->out);
    close_end(&p->err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void process_signal(process *p, int number) {
    assert_int_equal(kill(p->pid, number), 0);
}

int process_kill_all(void **state) {
    (void)state;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        if (running[i] == 0)
            continue;
        (void)kill(running[i], SIGKILL);
        (void)waitpid(running[i], NULL, 0);
        running[i] = 0;
    }
    return 0;
}

size_t process_read_all(int fd, void *out, size_t room) {
    double deadline = now() + PROCESS_SECONDS;
    size_t got = 0;
    struct pollfd f = {.fd = fd, .events = POLLIN};
    while (got < room) {
        if (now() > deadline || poll(&f, 1, 1000) < 0)
            fail_msg("only %zu bytes of %zu came", got, room);
        if (f.revents == 0)
            continue;
        ssize_t n = read(fd, (uint8_t *)out + got, room - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

void process_write_all(int fd, const void *bytes, size_t len) {
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, (const uint8_t *)bytes + at, len - at);
        assert_true(n > 0 || errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
}
