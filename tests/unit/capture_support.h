// Captures of real traffic: UDP datagrams out of pcap files, and the secrets that open them out of key logs.
//
// Both files are read whole and borrowed from. A missing or broken file ends the program with a message.
#ifndef UNIT_CAPTURE_SUPPORT_H
#define UNIT_CAPTURE_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"

#define CAPTURE_RANDOM 32  // bytes of the random in a ClientHello, which names a connection in a key log

// Opens tests/captures/`name` and reads all of it; the caller frees *out.
size_t capture_read_file(const char *name, uint8_t **out);

// Datagrams of a classic pcap file (little-endian, link type raw IP). What is not UDP is skipped.
typedef struct capture {
    uint8_t *file;
    const uint8_t *at, *end;
} capture;

void capture_open(capture *c, const char *name);
// The payload of the next UDP packet that has one, borrowed and writable; false at the end of the file.
bool capture_next(capture *c, uint8_t **payload, size_t *len);
void capture_close(capture *c);

// Lines `LABEL client-random secret` of SSLKEYLOGFILE.
typedef struct key_log {
    char *text;  // null: no key log, nothing is found
} key_log;

// A capture without keys has no such file: then the log is empty.
void key_log_open(key_log *k, const char *name);
// The secret of `label` for a connection: its length (32 or 48), 0 when the log does not have it.
size_t key_log_find(const key_log *k, const char *label, const uint8_t random[static CAPTURE_RANDOM],
                    uint8_t secret[static AEAD_HASH_MAX]);
void key_log_close(key_log *k);

#endif
