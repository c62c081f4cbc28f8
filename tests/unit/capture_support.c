#include "unit/capture_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "unit/vector_support.h"

#define PCAP_MAGIC UINT32_C(0xa1b2c3d4)  // microseconds, in the writer's byte order
#define PCAP_HEAD 24
#define PCAP_RECORD_HEAD 16
#define LINK_RAW_IP 101
#define PROTOCOL_UDP 17
#define UDP_HEAD 8
#define FILE_MAX (8 << 20)

static void fail(const char *what, const char *name) {
    (void)fprintf(stderr, "captures: %s: %s\n", what, name);
    exit(1);
}

static FILE *open_file(const char *name) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/tests/captures/%s", IROH_SOURCE_DIR, name);
    return fopen(path, "rb");
}

static size_t read_all(FILE *file, const char *name, uint8_t **out) {
    uint8_t *bytes = malloc(FILE_MAX);
    if (bytes == NULL)
        fail("out of memory", name);
    size_t len = fread(bytes, 1, FILE_MAX, file);
    if (ferror(file) != 0 || len == FILE_MAX)
        fail("cannot read, or too large", name);
    (void)fclose(file);
    // Exact, so that AddressSanitizer sees a read past the end.
    *out = realloc(bytes, len + 1);
    if (*out == NULL)
        fail("out of memory", name);
    (*out)[len] = '\0';
    return len;
}

size_t capture_read_file(const char *name, uint8_t **out) {
    FILE *file = open_file(name);
    if (file == NULL)
        fail("cannot open", name);
    return read_all(file, name, out);
}

static uint32_t le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void capture_open(capture *c, const char *name) {
    size_t len = capture_read_file(name, &c->file);
    if (len < PCAP_HEAD || le32(c->file) != PCAP_MAGIC || le32(c->file + 20) != LINK_RAW_IP)
        fail("not a pcap file of raw IP", name);
    c->at = c->file + PCAP_HEAD;
    c->end = c->file + len;
}

void capture_close(capture *c) {
    free(c->file);
    *c = (capture){0};
}

// What follows the IP header of a UDP packet; null for any other packet.
static const uint8_t *udp_of(const uint8_t *ip, size_t len) {
    if (len == 0)
        return NULL;
    bool v4 = ip[0] >> 4 == 4;
    size_t head = v4 ? (size_t)(ip[0] & 15) * 4 : 40;
    if (len < head + UDP_HEAD || (v4 ? ip[9] : ip[6]) != PROTOCOL_UDP)
        return NULL;
    return ip + head;
}

bool capture_next(capture *c, uint8_t **payload, size_t *len) {
    while (c->end - c->at >= PCAP_RECORD_HEAD) {
        const uint8_t *ip = c->at + PCAP_RECORD_HEAD;
        size_t size = le32(c->at + 8);
        if (size > (size_t)(c->end - ip))
            fail("the file ends within a packet", "pcap");
        c->at = ip + size;
        const uint8_t *udp = udp_of(ip, size);
        if (udp == NULL)
            continue;
        size_t udp_len = (size_t)udp[4] << 8 | udp[5];
        if (udp_len < UDP_HEAD || udp_len > (size_t)(c->at - udp))
            fail("wrong UDP length", "pcap");
        *payload = c->file + (udp + UDP_HEAD - c->file);
        *len = udp_len - UDP_HEAD;
        if (*len > 0)
            return true;
    }
    return false;
}

void key_log_open(key_log *k, const char *name) {
    FILE *file = open_file(name);
    uint8_t *text = NULL;
    if (file != NULL)
        (void)read_all(file, name, &text);
    k->text = (char *)text;
}

void key_log_close(key_log *k) {
    free(k->text);
    k->text = NULL;
}

size_t key_log_find(const key_log *k, const char *label, const uint8_t random[static CAPTURE_RANDOM],
                    uint8_t secret[static AEAD_HASH_MAX]) {
    size_t label_len = strlen(label);
    for (const char *line = k->text; line != NULL && *line != '\0';) {
        size_t len = strcspn(line, "\r\n");
        size_t secret_at = label_len + 1 + (size_t)2 * CAPTURE_RANDOM + 1;
        uint8_t owner[CAPTURE_RANDOM];
        if (len > secret_at && strncmp(line, label, label_len) == 0 && line[label_len] == ' ' &&
            hex_bytes(line + label_len + 1, (size_t)2 * CAPTURE_RANDOM, owner, sizeof owner) == sizeof owner &&
            memcmp(owner, random, sizeof owner) == 0) {
            size_t n = hex_bytes(line + secret_at, len - secret_at, secret, AEAD_HASH_MAX);
            if (n != 32 && n != 48)
                fail("wrong secret in the key log", label);
            return n;
        }
        line += len;
        line += strspn(line, "\r\n");
    }
    return 0;
}
