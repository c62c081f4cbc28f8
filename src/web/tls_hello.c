#include "web/tls_hello.h"

#include "base/bytes.h"

#define MSG_CLIENT_HELLO 1
#define VERSION_12 0x0303
#define VERSION_13 0x0304
#define RANDOM 32
#define GROUP_X25519 0x001d

// Whether a list of code points, all of a reader, has this one.
static bool lists(reader r, uint16_t wanted) {
    while (reader_left(&r) >= 2) {
        if (reader_u16(&r) == wanted)
            return true;
    }
    return false;
}

// A list of code points behind its length of `prefix` bytes, which must fill the reader.
static reader codes_of(reader *r, size_t prefix) {
    size_t len = (size_t)reader_be(r, prefix);
    const uint8_t *at = reader_bytes(r, len);
    if (r->failed || reader_left(r) > 0 || len == 0 || len % 2 != 0) {
        (void)reader_fail(r);
        return reader_of(NULL, 0);
    }
    return reader_of(at, len);
}

// --- Extensions

typedef struct choice {
    const uint16_t *schemes;
    size_t scheme_count;
    unsigned seen;  // bits of rows
    tls_hello *out;
} choice;

static bool on_versions(choice *c, reader *r) {
    (void)c;
    reader versions = codes_of(r, 1);
    return lists(versions, VERSION_13);
}

static bool on_groups(choice *c, reader *r) {
    (void)c;
    reader groups = codes_of(r, 2);
    return lists(groups, GROUP_X25519);
}

static bool on_schemes(choice *c, reader *r) {
    reader offered = codes_of(r, 2);
    for (size_t i = 0; i < c->scheme_count; i++) {
        if (lists(offered, c->schemes[i])) {
            c->out->scheme = c->schemes[i];
            return true;
        }
    }
    return false;
}

static bool on_shares(choice *c, reader *r) {
    size_t len = reader_u16(r);
    if (r->failed || reader_left(r) != len)
        return false;
    while (reader_left(r) > 0) {
        uint16_t group = reader_u16(r);
        size_t share_len = reader_u16(r);
        const uint8_t *share = reader_bytes(r, share_len);
        if (group != GROUP_X25519)
            continue;
        if (share_len != TLS_HELLO_SHARE || c->out->share != NULL)
            return false;
        c->out->share = share;
    }
    return !r->failed && c->out->share != NULL;
}

static bool on_stranger(choice *c, reader *r) {
    (void)c;
    (void)r;
    return false;
}

#define ROWS_NEEDED 4

// Those that are looked at, the needed ones first. All others are left alone, as servers do with what they do not know.
static const struct {
    uint16_t type;
    bool (*read)(choice *c, reader *r);
} rows[] = {
    {43, on_versions}, {10, on_groups}, {13, on_schemes}, {51, on_shares}, {41, on_stranger},  // resumption,
    {42, on_stranger},                                                                         // early data,
    {44, on_stranger},  // and a retry that was not asked for
};

static bool on_extension(choice *c, uint16_t type, reader r) {
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].type != type)
            continue;
        if ((c->seen & 1u << i) != 0 || !rows[i].read(c, &r) || r.failed)
            return false;
        c->seen |= 1u << i;
    }
    return true;
}

static bool read_extensions(choice *c, reader *r) {
    size_t len = reader_u16(r);
    if (r->failed || reader_left(r) != len)
        return false;
    while (reader_left(r) > 0) {
        uint16_t type = reader_u16(r);
        size_t body_len = reader_u16(r);
        const uint8_t *body = reader_bytes(r, body_len);
        if (r->failed || !on_extension(c, type, reader_of(body, body_len)))
            return false;
    }
    return c->seen == (1u << ROWS_NEEDED) - 1;
}

// --- The message

// In the order of what they cost us.
static bool choose_suite(reader offered, tls_hello *out) {
    for (uint16_t id = 0x1301; id <= 0x1303; id++) {
        if (lists(offered, id)) {
            out->suite = id;
            return true;
        }
    }
    return false;
}

bool tls_hello_read(const uint8_t *message, size_t len, const uint16_t *schemes, size_t scheme_count, tls_hello *out) {
    reader r = reader_of(message, len);
    *out = (tls_hello){0};
    choice c = {.schemes = schemes, .scheme_count = scheme_count, .out = out};
    if (reader_u8(&r) != MSG_CLIENT_HELLO || reader_be(&r, 3) != reader_left(&r) || reader_u16(&r) != VERSION_12)
        return false;
    (void)reader_bytes(&r, RANDOM);
    out->id_len = reader_u8(&r);
    out->id = reader_bytes(&r, out->id_len);
    size_t suites_len = reader_u16(&r);
    const uint8_t *suites = reader_bytes(&r, suites_len);
    uint16_t compression = reader_u16(&r);  // one method: none
    if (r.failed || out->id_len > TLS_HELLO_ID_MAX || suites_len % 2 != 0 || compression != 0x0100)
        return false;
    return choose_suite(reader_of(suites, suites_len), out) && read_extensions(&c, &r);
}
