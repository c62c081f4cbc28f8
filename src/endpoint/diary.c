// Files that say what happened, for debugging: TLS secrets in the format of SSLKEYLOGFILE, and a qlog file for each
// connection.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "endpoint/state.h"
#include "quic/qlog.h"

#define KEYLOG_LINE_MAX 512
#define PATH_LONGEST 4096

int diary_open(iroh_endpoint *ep, const iroh_endpoint_config *config) {
    const char *keylog = config->keylog ? getenv("SSLKEYLOGFILE") : NULL;
    if (keylog != NULL && keylog[0] != '\0') {
        ep->keylog_fd = open(keylog, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (ep->keylog_fd < 0)
            return IROH_ERR_IO;
    }
    if (config->qlog_dir == NULL)
        return 0;
    ep->qlog_dir = strdup(config->qlog_dir);
    return ep->qlog_dir != NULL ? 0 : IROH_ERR_NOMEM;
}

void diary_close(iroh_endpoint *ep) {
    if (ep->keylog_fd >= 0)
        close(ep->keylog_fd);
    ep->keylog_fd = -1;
    free(ep->qlog_dir);
    ep->qlog_dir = NULL;
}

// One write for each line, so that lines of several processes do not mix.
void diary_keylog(void *user, const char *line) {
    const iroh_endpoint *ep = user;
    char text[KEYLOG_LINE_MAX];
    int len = snprintf(text, sizeof text, "%s\n", line);
    if (len > 0 && (size_t)len < sizeof text && write(ep->keylog_fd, text, (size_t)len) != len)
        log_line(&ep->log, LOG_WARN, "the key log cannot be written: %s", strerror(errno));
}

// --- qlog

static void write_text(void *user, const char *text, size_t len) {
    (void)!fwrite(text, 1, len, user);  // a full disk costs the diary, not the connection
}

static void close_file(void *user) {
    (void)fclose(user);
}

quic_qlog *diary_qlog(void *user, quic_role role, const quic_cid *odcid) {
    const iroh_endpoint *ep = user;
    char path[PATH_LONGEST], name[2 * QUIC_CID_MAX + 1] = "";
    for (size_t i = 0; i < odcid->len; i++)
        (void)snprintf(name + 2 * i, 3, "%02x", odcid->bytes[i]);
    int len =
        snprintf(path, sizeof path, "%s/%s_%s.sqlog", ep->qlog_dir, name, role == QUIC_CLIENT ? "client" : "server");
    FILE *file = len > 0 && (size_t)len < sizeof path ? fopen(path, "we") : NULL;
    if (file == NULL) {
        log_line(&ep->log, LOG_WARN, "no qlog for a connection: %s", strerror(errno));
        return NULL;
    }
    quic_qlog_sink sink = {.write = write_text, .close = close_file, .user = file};
    quic_qlog *q = quic_qlog_new(role, odcid, &sink);
    if (q == NULL)
        (void)fclose(file);
    return q;
}
