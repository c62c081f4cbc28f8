// A stand-in for peer TLS in the simulator: the same messages in the same levels with the same sizes, but deterministic
// and cheap. Packets are protected for real with the secrets it hands out, so corruption is found as in the field.
//
// It proves nothing about identity: the "signature" is missing. Everything that the QUIC connection can observe is
// there: alerts for a wrong key or no common ALPN, transport parameters, tickets, resumption and 0-RTT.
#ifndef SIM_FAKETLS_H
#define SIM_FAKETLS_H

#include "tls/tls.h"

extern const tls_backend sim_faketls;

#endif
