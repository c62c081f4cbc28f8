// Two clients of a relay server that is abused by others: they were there before, and must not notice anything.
#ifndef UNIT_RELAY_BYSTANDER_SUPPORT_H
#define UNIT_RELAY_BYSTANDER_SUPPORT_H

#include "unit/relay_live_support.h"

typedef struct bystanders {
    iroh_relay *relay;
    live_client a, b;
    size_t heap;  // bytes, when they had come
    unsigned rounds;
} bystanders;

extern bystanders they;

void bystanders_come_with(iroh_relay_config *config, bool tls);  // a server of their own, and they come
void bystanders_come(bool tls);

// A datagram each way, with `about` in it.
void bystanders_talk(const char *about);

// Not so many bytes more are allocated than when they had come.
void bystanders_heap_below(size_t more);

// Nobody must be left but them; they talk once more, and the server ends.
void bystanders_leave(void);

#endif
