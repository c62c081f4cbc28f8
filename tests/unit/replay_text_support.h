// Packets, frames and transport parameters as lines of text, the form of tests/captures/*.expected (described in
// tests/captures/README.md).
#ifndef UNIT_REPLAY_TEXT_SUPPORT_H
#define UNIT_REPLAY_TEXT_SUPPORT_H

#include "unit/replay_support.h"

#define REPLAY_TEXT_MAX 4096  // longest line, terminator included

// Each writes one line without its end. A line that does not fit ends the program.
void replay_packet_text(const replay_packet *p, size_t datagram, size_t offset, char out[static REPLAY_TEXT_MAX]);
// `size`: encoded bytes of the frame.
void replay_frame_text(const quic_frame *f, const quic_frame_info *info, size_t size, char out[static REPLAY_TEXT_MAX]);
void replay_params_text(const replay_conn *c, replay_dir dir, char out[static REPLAY_TEXT_MAX]);

#endif
