// What importing and exporting of folders share.
#ifndef BLOBS_STORE_FOLDER_H
#define BLOBS_STORE_FOLDER_H

#include <iroh/blobs_transfer.h>

#define FOLDER_DEPTH_MAX 256  // folders in folders; each takes a descriptor while it is read

// Notes what an error is about, cut if it is long.
void store_folder_where(const iroh_folder_options *o, const char *text, size_t len);

#endif
