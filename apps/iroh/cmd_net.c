// iroh net: what relays tell of the network between them and this machine.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define WAIT_MS 15000  // a report takes at most five seconds
#define RELAYS_SHOWN IROH_RELAYS_MAX

typedef struct finding {
    iroh_net_report report;
    iroh_relay_latency relays[RELAYS_SHOWN];
    int relay_count;
    char home[IROH_PATH_TEXT];  // empty: none
    bool online;
} finding;

// --- As text

static const char *words_of(int answer, const char *yes, const char *no) {
    return answer > 0 ? yes : answer == 0 ? no : "not known";
}

static void print_udp(const char *family, bool works, const char *global) {
    printf("%-16s %s%s\n", family, works ? "works; seen from outside as " : "no answer", works ? global : "");
}

static void print_latency(const char *way, uint64_t us) {
    if (us > 0)
        printf("  %s %.1f ms", way, (double)us / 1000);
}

static void print_text(const finding *f) {
    const iroh_net_report *r = &f->report;
    print_udp("UDP over IPv4", r->udp_v4, r->global_v4);
    print_udp("UDP over IPv6", r->udp_v6, r->global_v6);
    printf("%-16s %s\n", "NAT mapping",
           words_of(r->udp_v4 ? r->mapping_varies_v4 : r->mapping_varies_v6, "another for each destination",
                    "the same for every destination"));
    printf("%-16s %s\n", "login page", words_of(r->captive_portal, "there is one", "none"));
    printf("%-16s %s%s\n", "home relay", f->home[0] != '\0' ? f->home : "none",
           f->home[0] != '\0' && !f->online ? " (not connected)" : "");
    for (int i = 0; i < f->relay_count; i++) {
        const iroh_relay_latency *l = &f->relays[i];
        printf("%-16s %s", i == 0 ? "relays" : "", l->url);
        print_latency("QUIC over IPv4", l->quic_v4_us);
        print_latency("QUIC over IPv6", l->quic_v6_us);
        print_latency("HTTPS", l->https_us);
        (void)putchar('\n');
    }
}

// --- As JSON. Texts are addresses and normalized URLs, which have nothing that needs an escape.

static void put_string(const char *name, const char *text) {
    if (text[0] != '\0')
        printf("\"%s\":\"%s\",", name, text);
    else
        printf("\"%s\":null,", name);
}

static void put_answer(const char *name, int answer) {
    printf("\"%s\":%s,", name, answer > 0 ? "true" : answer == 0 ? "false" : "null");
}

static void put_latency(const char *name, uint64_t us, const char *end) {
    if (us > 0)
        printf("\"%s\":%" PRIu64 "%s", name, us, end);
    else
        printf("\"%s\":null%s", name, end);
}

static void print_json(const finding *f) {
    const iroh_net_report *r = &f->report;
    (void)putchar('{');
    put_answer("udp_v4", r->udp_v4);
    put_answer("udp_v6", r->udp_v6);
    put_string("global_v4", r->global_v4);
    put_string("global_v6", r->global_v6);
    put_answer("mapping_varies_v4", r->mapping_varies_v4);
    put_answer("mapping_varies_v6", r->mapping_varies_v6);
    put_answer("captive_portal", r->captive_portal);
    put_string("preferred_relay", r->preferred_relay);
    put_string("home_relay", f->home);
    put_answer("online", f->online);
    printf("\"relays\":[");
    for (int i = 0; i < f->relay_count; i++) {
        printf("%s{\"url\":\"%s\",", i > 0 ? "," : "", f->relays[i].url);
        put_latency("quic_v4_us", f->relays[i].quic_v4_us, ",");
        put_latency("quic_v6_us", f->relays[i].quic_v6_us, ",");
        put_latency("https_us", f->relays[i].https_us, "}");
    }
    printf("]}\n");
}

// --- The command

static int look(iroh_endpoint *ep, finding *f) {
    iroh_relay_status status;
    int r = iroh_endpoint_net_report(ep, &f->report, f->relays, RELAYS_SHOWN, WAIT_MS);
    if (r < 0)
        return cli_failed("no report", r);
    f->relay_count = r < RELAYS_SHOWN ? r : RELAYS_SHOWN;
    f->online = iroh_endpoint_wait_online(ep, CLI_ONLINE_MS) == 0;
    if (iroh_endpoint_home_relay(ep, f->home, sizeof f->home, &status) < 0)
        f->home[0] = '\0';
    return EXIT_OK;
}

int cmd_net(const cli_options *o) {
    finding f = {0};
    cli_options with_relays = *o;
    if (o->arg_count > 0) {
        cli_error("net takes no arguments");
        return EXIT_USAGE;
    }
    if (o->direct_only) {
        cli_error("net asks relays, so there must be some");
        return EXIT_USAGE;
    }
    if (o->relay_count == 0)
        with_relays.relay[with_relays.relay_count++] = "default";
    iroh_endpoint *ep = cli_endpoint(&with_relays, NULL, 0, true);
    if (ep == NULL)
        return EXIT_FAILED;
    int status = look(ep, &f);
    if (status == EXIT_OK && o->json)
        print_json(&f);
    else if (status == EXIT_OK)
        print_text(&f);
    (void)iroh_endpoint_close(ep, CLI_ONLINE_MS);
    iroh_endpoint_free(ep);
    return status;
}
