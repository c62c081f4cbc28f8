// The decode and encode functions of the frame table's rows. Private to frame.c and the files that define them.
//
// A decoder starts behind the type, which it finds in f->type, and returns false for a value that cannot be; a read past
// the end shows in the reader. An encoder writes the type as well, because flags of some frames are part of it.
#ifndef QUIC_FRAME_CODEC_H
#define QUIC_FRAME_CODEC_H

#include "quic/frame.h"

bool frame_decode_empty(reader *r, quic_frame *f);  // PING, HANDSHAKE_DONE, IMMEDIATE_ACK
void frame_encode_empty(writer *w, const quic_frame *f);
bool frame_decode_padding(reader *r, quic_frame *f);
void frame_encode_padding(writer *w, const quic_frame *f);
bool frame_decode_ack(reader *r, quic_frame *f);  // PATH_ACK as well
void frame_encode_ack(writer *w, const quic_frame *f);
bool frame_decode_reset_stream(reader *r, quic_frame *f);
void frame_encode_reset_stream(writer *w, const quic_frame *f);
bool frame_decode_stop_sending(reader *r, quic_frame *f);
void frame_encode_stop_sending(writer *w, const quic_frame *f);
bool frame_decode_crypto(reader *r, quic_frame *f);
void frame_encode_crypto(writer *w, const quic_frame *f);
bool frame_decode_new_token(reader *r, quic_frame *f);
void frame_encode_new_token(writer *w, const quic_frame *f);
bool frame_decode_stream(reader *r, quic_frame *f);
void frame_encode_stream(writer *w, const quic_frame *f);
bool frame_decode_data_limit(reader *r, quic_frame *f);  // MAX_DATA, DATA_BLOCKED
void frame_encode_data_limit(writer *w, const quic_frame *f);
bool frame_decode_stream_limit(reader *r, quic_frame *f);  // MAX_STREAM_DATA, STREAM_DATA_BLOCKED
void frame_encode_stream_limit(writer *w, const quic_frame *f);
bool frame_decode_streams_limit(reader *r, quic_frame *f);  // MAX_STREAMS, STREAMS_BLOCKED
bool frame_decode_new_cid(reader *r, quic_frame *f);        // PATH_NEW_CONNECTION_ID as well
void frame_encode_new_cid(writer *w, const quic_frame *f);
bool frame_decode_retire_cid(reader *r, quic_frame *f);  // PATH_RETIRE_CONNECTION_ID as well
void frame_encode_retire_cid(writer *w, const quic_frame *f);
bool frame_decode_path_data(reader *r, quic_frame *f);  // PATH_CHALLENGE, PATH_RESPONSE
void frame_encode_path_data(writer *w, const quic_frame *f);
bool frame_decode_close(reader *r, quic_frame *f);  // both forms
void frame_encode_close(writer *w, const quic_frame *f);
bool frame_decode_datagram(reader *r, quic_frame *f);
void frame_encode_datagram(writer *w, const quic_frame *f);
bool frame_decode_ack_frequency(reader *r, quic_frame *f);
void frame_encode_ack_frequency(writer *w, const quic_frame *f);
bool frame_decode_path_abandon(reader *r, quic_frame *f);
void frame_encode_path_abandon(writer *w, const quic_frame *f);
bool frame_decode_path_status(reader *r, quic_frame *f);  // PATH_CIDS_BLOCKED as well
void frame_encode_path_status(writer *w, const quic_frame *f);
bool frame_decode_path_limit(reader *r, quic_frame *f);  // MAX_PATH_ID, PATHS_BLOCKED
void frame_encode_path_limit(writer *w, const quic_frame *f);
bool frame_decode_address(reader *r, quic_frame *f);  // ADD_ADDRESS, REACH_OUT, OBSERVED_ADDRESS
void frame_encode_address(writer *w, const quic_frame *f);
bool frame_decode_remove_address(reader *r, quic_frame *f);
void frame_encode_remove_address(writer *w, const quic_frame *f);

#endif
