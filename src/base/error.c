// The table of results in words.
#include <iroh/error.h>

#include <stddef.h>

typedef struct result {
    const char *name;
    const char *sentence;
} result;

#define ROW(code, sentence) [-(code)] = {#code, sentence}

static const result results[] = {
    ROW(IROH_OK, "success"),
    ROW(IROH_ERR_NOMEM, "out of memory"),
    ROW(IROH_ERR_ARG, "invalid argument, or not possible in this state"),
    ROW(IROH_ERR_AGAIN, "nothing yet, try again later"),
    ROW(IROH_ERR_TIMEOUT, "the time for waiting is over"),
    ROW(IROH_ERR_CLOSED, "closed by this side"),
    ROW(IROH_ERR_PEER_CLOSED, "the peer closed the connection"),
    ROW(IROH_ERR_RESET, "the peer reset the stream"),
    ROW(IROH_ERR_STOPPED, "the peer stopped reading the stream"),
    ROW(IROH_ERR_IDLE, "nothing was heard from the peer for too long"),
    ROW(IROH_ERR_TRANSPORT, "the connection ended with a QUIC transport error"),
    ROW(IROH_ERR_STATELESS, "the peer has forgotten the connection"),
    ROW(IROH_ERR_VERSION, "no QUIC version in common with the peer"),
    ROW(IROH_ERR_REFUSED, "the peer refused the connection"),
    ROW(IROH_ERR_HANDSHAKE, "the TLS handshake failed"),
    ROW(IROH_ERR_SYNTAX, "malformed text or data"),
    ROW(IROH_ERR_LENGTH, "impossible length"),
    ROW(IROH_ERR_TRUNCATED, "the data ends too early"),
    ROW(IROH_ERR_RANGE, "a number is outside its limits"),
    ROW(IROH_ERR_UTF8, "the text is not UTF-8"),
    ROW(IROH_ERR_KEY, "not a valid public key"),
    ROW(IROH_ERR_KIND, "a ticket of another kind, or none at all"),
    ROW(IROH_ERR_SIGNATURE, "the signature is wrong"),
    ROW(IROH_ERR_CRYPTO, "a cryptographic operation failed"),
    ROW(IROH_ERR_LIMIT, "a limit is reached"),
    ROW(IROH_ERR_TOO_LARGE, "too large"),
    ROW(IROH_ERR_UNSUPPORTED, "not supported here or by the peer"),
    ROW(IROH_ERR_NO_ADDRESS, "no usable address for the peer"),
    ROW(IROH_ERR_SELF, "an endpoint cannot connect to itself"),
    ROW(IROH_ERR_IO, "the operating system reported an error"),
    ROW(IROH_ERR_BIND, "the address cannot be bound"),
    ROW(IROH_ERR_PROTOCOL, "the peer broke the protocol"),
    ROW(IROH_ERR_FINISHED, "the stream ended too early"),
    ROW(IROH_ERR_REJECTED_0RTT, "the peer rejected the early data"),
    ROW(IROH_ERR_UNREACHABLE, "no path to the peer is left"),
    ROW(IROH_ERR_INTERNAL, "internal error, please report it"),
    ROW(IROH_ERR_EXISTS, "already there"),
    ROW(IROH_ERR_NOT_FOUND, "not found"),
    ROW(IROH_ERR_NO_SPACE, "no space is left for the data"),
    ROW(IROH_ERR_ACCESS, "the operating system does not permit it"),
    ROW(IROH_ERR_CHANGED, "the file has changed"),
    ROW(IROH_ERR_CORRUPT, "the stored data is damaged"),
};

static const result *find(int code) {
    static const result unknown = {"unknown", "unknown error"};
    const int count = (int)(sizeof results / sizeof *results);
    return code <= 0 && code > -count ? &results[-code] : &unknown;
}

const char *iroh_strerror(int code) {
    return find(code)->sentence;
}

const char *iroh_error_name(int code) {
    return find(code)->name;
}
