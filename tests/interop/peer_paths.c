// Which way a connection goes, for the scenarios about relays.
#include "peer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATHS_MAX 16
#define STEP_MS 20

const char *peer_path_kind(const iroh_connection *c) {
    iroh_path paths[PATHS_MAX];
    int count = iroh_connection_paths(c, paths, PATHS_MAX);
    for (int i = 0; i < count && i < PATHS_MAX; i++) {
        if (paths[i].selected)
            return paths[i].relay ? "relay" : "direct";
    }
    return "none";
}

bool peer_path_wait(iroh_connection *c, const char *kind, int timeout_ms) {
    for (int ms = 0; ms < timeout_ms; ms += STEP_MS) {
        if (strcmp(peer_path_kind(c), kind) == 0)
            return true;
        (void)iroh_connection_closed(c, STEP_MS);  // what the wait is for: the endpoint runs meanwhile
    }
    return false;
}
