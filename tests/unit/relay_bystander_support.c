#include "unit/relay_bystander_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

bystanders they;

void bystanders_come_with(iroh_relay_config *config, bool tls) {
    they.relay = live_start_with(config, tls);
    live_client_ready(&they.a, they.relay, 1);
    live_client_ready(&they.b, they.relay, 2);
    they.heap = live_heap();
}

void bystanders_come(bool tls) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    bystanders_come_with(&config, tls);
}

void bystanders_talk(const char *about) {
    char text[128];
    (void)snprintf(text, sizeof text, "%u: %s", they.rounds++, about);
    live_client_say(&they.a, &they.b, text);
    live_client_hear(&they.b, &they.a, text);
    live_client_say(&they.b, &they.a, text);
    live_client_hear(&they.a, &they.b, text);
}

void bystanders_heap_below(size_t more) {
    size_t now = live_heap();
    if (now > they.heap + more)
        fail_msg("%zu bytes more than before, %zu at most were expected", now - they.heap, more);
}

void bystanders_leave(void) {
    live_await(they.relay, 2, 2);
    bystanders_talk("alone again");
    live_client_close(&they.a);
    live_client_close(&they.b);
    live_await(they.relay, 0, 0);
    iroh_relay_stop(they.relay);
}
