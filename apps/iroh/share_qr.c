#include "share.h"

#ifndef IROH_HAVE_QRENCODE

bool share_qr(const char *text) {
    (void)text;
    cli_error("this program was built without QR codes (libqrencode was missing)");
    return false;
}

#else

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <qrencode.h>

#define QUIET 2       // modules of margin; scanners get along with half of what the standard wants
#define PREFIX_LEN 4  // "blob", whose case counts; that of the rest does not, and capitals take less room
#define TEXT_MAX 4096

// Outside of the picture is light.
static bool dark(const QRcode *q, int x, int y) {
    return x >= 0 && y >= 0 && x < q->width && y < q->width && (q->data[y * q->width + x] & 1) != 0;
}

// Two modules above each other are one character; light ones are drawn, as on a dark terminal, and on others by colours.
static void draw(const QRcode *q, bool colours) {
    static const char *const blocks[] = {"\u2588", "\u2580", "\u2584", " "};
    for (int y = -QUIET; y < q->width + QUIET; y += 2) {
        (void)fputs(colours ? "\033[40;97m" : "", stderr);
        for (int x = -QUIET; x < q->width + QUIET; x++)
            (void)fputs(blocks[(dark(q, x, y) ? 2 : 0) + (dark(q, x, y + 1) ? 1 : 0)], stderr);
        (void)fputs(colours ? "\033[0m\n" : "\n", stderr);
    }
}

bool share_qr(const char *text) {
    char shorter[TEXT_MAX];
    size_t len = strlen(text);
    if (len >= sizeof shorter) {
        cli_error("the ticket is too long for a QR code");
        return false;
    }
    for (size_t i = 0; i <= len; i++)
        shorter[i] = i < PREFIX_LEN ? text[i] : (char)toupper((unsigned char)text[i]);
    QRcode *q = QRcode_encodeString(shorter, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
    if (q == NULL) {
        cli_error(errno == ERANGE ? "the ticket is too long for a QR code" : "cannot make the QR code");
        return false;
    }
    draw(q, isatty(STDERR_FILENO) == 1);
    QRcode_free(q);
    return true;
}

#endif
