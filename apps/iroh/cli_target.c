// Whom a word of the command line means: a ticket, or an id that a relay of the options leads to.
#include <string.h>

#include "cli.h"

static bool is_set(const char *relay) {
    return strcmp(relay, "default") == 0 || strcmp(relay, "staging") == 0;
}

// Adds the relays of the options, of which sets say nothing about where the peer is. An error of iroh_addr_add_relay.
static int add_relays(iroh_addr *addr, const cli_options *o) {
    int r = 0;
    for (size_t i = 0; i < o->relay_count && r == 0; i++) {
        if (strcmp(o->relay[i], "none") != 0 && !is_set(o->relay[i]))
            r = iroh_addr_add_relay(addr, o->relay[i]);
    }
    return r;
}

// The word as an address, perhaps an empty one.
static int read_word(const char *text, iroh_addr **out) {
    iroh_public_key id;
    int r = iroh_ticket_parse(text, out);
    return r != 0 && iroh_public_key_from_text(&id, text) == 0 ? iroh_addr_new(&id, out) : r;
}

iroh_addr *cli_target(const cli_options *o, const char *text) {
    iroh_addr *addr;
    int r = read_word(text, &addr);
    if (r != 0) {
        cli_error("neither a ticket nor an id: %s", iroh_strerror(r));
        return NULL;
    }
    if (iroh_addr_count(addr) == 0)
        r = add_relays(addr, o);
    if (r == 0 && iroh_addr_count(addr) > 0)
        return addr;
    iroh_addr_free(addr);
    if (r != 0)
        cli_error("cannot use the relay: %s", iroh_strerror(r));
    else
        cli_error("an id alone cannot be looked up yet: say which relay it is at with --relay URL, or use a ticket");
    return NULL;
}
