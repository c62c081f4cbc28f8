#define _GNU_SOURCE 1  // unshare
#include "netns_support.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static bool entered;

static int ip(const char *args) {
    char line[256];
    (void)snprintf(line, sizeof line, "ip %s >/dev/null 2>&1", args);
    return system(line);
}

static bool put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    bool ok = f != NULL && fputs(text, f) >= 0;
    return f != NULL && fclose(f) == 0 && ok;
}

// In a user namespace of its own the process is root, so that the programs that it starts are.
static bool become_root(unsigned uid, unsigned gid) {
    char users[64], groups[64];
    (void)snprintf(users, sizeof users, "0 %u 1", uid);
    (void)snprintf(groups, sizeof groups, "0 %u 1", gid);
    return put("/proc/self/setgroups", "deny") && put("/proc/self/uid_map", users) && put("/proc/self/gid_map", groups);
}

bool netns_enter(void) {
#ifdef CLONE_NEWNET
    unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();
    bool alone = unshare(CLONE_NEWNET) == 0 || (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && become_root(uid, gid));
    entered = alone && ip("link set lo up") == 0 && ip("link add ve0 type veth peer name ve1") == 0 &&
              ip("link del ve0") == 0;
#endif
    return entered;
}

bool netns_entered(void) {
    return entered;
}

void netns_needed(void) {
    if (!entered)
        skip();
}

void netns_ip(const char *args) {
    if (ip(args) != 0)
        fail_msg("ip %s", args);
}
