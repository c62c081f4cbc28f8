// Echoes every stream of every peer. Prints its ticket, which the client takes as its argument.
#include <stdio.h>

#include <iroh/iroh.h>

static void serve(iroh_stream *s) {
    char data[4096];
    int64_t got;
    while ((got = iroh_stream_read(s, data, sizeof data, IROH_WAIT_FOREVER)) > 0)
        iroh_stream_write_all(s, data, (size_t)got, IROH_WAIT_FOREVER, NULL);
    iroh_stream_free(s);  // finishes it, too
}

int main(void) {
    iroh_endpoint_config config;
    iroh_endpoint_config_default(&config);
    config.alpns = &(iroh_slice){"example/echo/0", 14};
    config.alpn_count = 1;
    iroh_endpoint *ep;
    iroh_addr *addr;
    char ticket[1024];
    int r = iroh_endpoint_bind(&config, &ep);
    if (r != 0 || iroh_endpoint_addr(ep, &addr) != 0 || iroh_ticket_format(addr, ticket, sizeof ticket) < 0) {
        fprintf(stderr, "echo_server: %s\n", iroh_strerror(r));
        return 1;
    }
    iroh_addr_free(addr);
    printf("%s\n", ticket);
    fflush(stdout);
    iroh_connection *c;
    while (iroh_endpoint_accept(ep, IROH_WAIT_FOREVER, &c) == 0) {
        iroh_stream *s;
        while (iroh_connection_accept_bi(c, IROH_WAIT_FOREVER, &s) == 0)
            serve(s);
        iroh_connection_free(c);
    }
    iroh_endpoint_free(ep);
    return 0;
}
