// The one table of results: every function of the library that can fail in more than one way returns 0 or a count on
// success and one of these negative codes otherwise.
#ifndef IROH_ERROR_H
#define IROH_ERROR_H

#if defined(_WIN32)
#define IROH_API __declspec(dllexport)
#else
#define IROH_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    IROH_OK = 0,
    IROH_ERR_NOMEM = -1,           // out of memory; nothing was changed
    IROH_ERR_ARG = -2,             // a bad argument: null, out of range, or in the wrong state for this call
    IROH_ERR_AGAIN = -3,           // would have to wait, and the timeout was 0
    IROH_ERR_TIMEOUT = -4,         // the caller's timeout passed
    IROH_ERR_CLOSED = -5,          // closed by this side: endpoint, connection or stream
    IROH_ERR_PEER_CLOSED = -6,     // the peer's application closed the connection: code and reason are readable
    IROH_ERR_RESET = -7,           // the peer reset the stream: code is readable
    IROH_ERR_STOPPED = -8,         // the peer stopped reading the stream: code is readable
    IROH_ERR_IDLE = -9,            // the connection's idle timeout passed
    IROH_ERR_TRANSPORT = -10,      // a QUIC transport error, ours or the peer's: code and reason are readable
    IROH_ERR_STATELESS = -11,      // the peer lost its state (stateless reset)
    IROH_ERR_VERSION = -12,        // no QUIC version in common
    IROH_ERR_REFUSED = -13,        // the peer refused the connection
    IROH_ERR_HANDSHAKE = -14,      // the TLS handshake failed: wrong key, no common ALPN, bad certificate
    IROH_ERR_SYNTAX = -15,         // text or bytes that do not parse
    IROH_ERR_LENGTH = -16,         // a length that cannot be: text, key or buffer
    IROH_ERR_TRUNCATED = -17,      // the input ends in the middle of a value
    IROH_ERR_RANGE = -18,          // a number outside its limits
    IROH_ERR_UTF8 = -19,           // text that is not UTF-8
    IROH_ERR_KEY = -20,            // not a valid public key
    IROH_ERR_KIND = -21,           // a ticket of another kind
    IROH_ERR_SIGNATURE = -22,      // a signature that does not verify
    IROH_ERR_CRYPTO = -23,         // decryption or another cryptographic operation failed
    IROH_ERR_LIMIT = -24,          // an explicit limit was reached: streams, connections, queue
    IROH_ERR_TOO_LARGE = -25,      // larger than can be sent, or than the caller's buffer
    IROH_ERR_UNSUPPORTED = -26,    // the peer, the build or the platform does not offer it
    IROH_ERR_NO_ADDRESS = -27,     // no usable address for the peer
    IROH_ERR_SELF = -28,           // an attempt to connect to oneself
    IROH_ERR_IO = -29,             // the operating system reported an error
    IROH_ERR_BIND = -30,           // a required address cannot be bound
    IROH_ERR_PROTOCOL = -31,       // the peer broke a protocol above QUIC
    IROH_ERR_FINISHED = -32,       // the stream ended before the bytes that were asked for
    IROH_ERR_REJECTED_0RTT = -33,  // early data was rejected: send it again
    IROH_ERR_UNREACHABLE = -34,    // the last path to the peer is gone
    IROH_ERR_INTERNAL = -35,       // a broken invariant of this library; please report it
    IROH_ERR_EXISTS = -36,         // already there
    IROH_ERR_NOT_FOUND = -37,      // not there
    IROH_ERR_NO_SPACE = -38,       // the disk, the quota or the largest size of a file is used up
    IROH_ERR_ACCESS = -39,         // the operating system does not permit it: rights, or a read-only file system
    IROH_ERR_CHANGED = -40,        // a file changed while it was read, or since it was referred to
    IROH_ERR_CORRUPT = -41         // what is stored is not what was stored
};

// One plain English sentence without a full stop for `code`; a static string, never null. Any thread.
IROH_API const char *iroh_strerror(int code);

// The name of the constant, such as "IROH_ERR_AGAIN"; a static string, never null. Any thread.
IROH_API const char *iroh_error_name(int code);

#ifdef __cplusplus
}
#endif

#endif
