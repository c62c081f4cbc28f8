// usage: echo_client TICKET TEXT. Sends the text to an echo_server and prints what comes back.
#include <stdio.h>
#include <string.h>

#include <iroh/iroh.h>

int main(int argc, char **argv) {
    iroh_endpoint_config config;
    iroh_endpoint_config_default(&config);
    iroh_endpoint *ep = NULL;
    iroh_addr *addr = NULL;
    iroh_connection *c = NULL;
    iroh_stream *s = NULL;
    char data[4096];
    int64_t got = argc == 3 ? iroh_ticket_parse(argv[1], &addr) : IROH_ERR_ARG;
    if (got == 0)
        got = iroh_endpoint_bind(&config, &ep);
    if (got == 0)
        got = iroh_endpoint_connect(ep, addr, "example/echo/0", 14, NULL, 10000, &c);
    if (got == 0)
        got = iroh_connection_open_bi(c, IROH_WAIT_FOREVER, &s);
    if (got == 0)
        got = iroh_stream_write_all(s, argv[2], strlen(argv[2]), IROH_WAIT_FOREVER, NULL);
    if (got == 0)
        got = iroh_stream_finish(s);
    while (got >= 0 && (got = iroh_stream_read(s, data, sizeof data, IROH_WAIT_FOREVER)) > 0)
        fwrite(data, 1, (size_t)got, stdout);
    if (got < 0)
        fprintf(stderr, "echo_client: %s\n", iroh_strerror((int)got));
    iroh_stream_free(s);
    iroh_connection_free(c);
    iroh_endpoint_close(ep, 1000);
    iroh_endpoint_free(ep);
    iroh_addr_free(addr);
    return got == 0 ? 0 : 1;
}
