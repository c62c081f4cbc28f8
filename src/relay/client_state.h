// What the two halves of the client share.
#ifndef RELAY_CLIENT_STATE_H
#define RELAY_CLIENT_STATE_H

#include "relay/client.h"

// Ends a connection or an attempt, for `error`, and decides when the next one is due.
void client_disconnect(relay_client *c, int error, uint64_t now);

// Queues a message of two parts.
int client_send_message(relay_client *c, bool bulk, int opcode, const uint8_t *head, size_t head_len,
                        const uint8_t *data, size_t len);

// Queues an urgent frame.
int client_send_frame(relay_client *c, const relay_frame *f);

int client_send_ping(relay_client *c, uint64_t now);

void client_drop_head(relay_client *c);

#endif
