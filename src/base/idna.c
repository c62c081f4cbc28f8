#include "base/idna.h"

#include <idn2.h>
#include <stdbool.h>
#include <string.h>

#include <iroh/error.h>

#define LABEL_MAX 1024  // bytes of UTF-8 before mapping; the 63 of a finished label need far fewer

// Bytes of a separator of labels at `p`, 0: none. UTS 46 maps three others to the full stop.
static size_t separator(const char *p, size_t left) {
    if (*p == '.')
        return 1;
    if (left < 3)
        return 0;
    bool dot =
        memcmp(p, "\xe3\x80\x82", 3) == 0 || memcmp(p, "\xef\xbc\x8e", 3) == 0 || memcmp(p, "\xef\xbd\xa1", 3) == 0;
    return dot ? 3 : 0;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool needs_idna(const char *label, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)label[i] >= 0x80)
            return true;
    }
    return len >= 4 && lower(label[0]) == 'x' && lower(label[1]) == 'n' && label[2] == '-' && label[3] == '-';
}

static int convert(const char *label, size_t len, writer *out) {
    char text[LABEL_MAX + 1];
    char *ascii = NULL;
    if (len > LABEL_MAX || memchr(label, '\0', len) != NULL)
        return IROH_ERR_SYNTAX;
    for (size_t i = 0; i < len; i++)
        text[i] = lower(label[i]);
    text[len] = '\0';
    int r = idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (r == IDN2_MALLOC)
        return IROH_ERR_NOMEM;
    if (r != IDN2_OK)
        return IROH_ERR_SYNTAX;
    writer_bytes(out, ascii, strlen(ascii));
    idn2_free(ascii);
    return 0;
}

// Label by label, because libidn2 refuses empty and long ones that are none of its business here.
static int label_to_ascii(const char *label, size_t len, writer *out) {
    if (needs_idna(label, len))
        return convert(label, len, out);
    for (size_t i = 0; i < len; i++)
        writer_u8(out, (uint8_t)lower(label[i]));
    return 0;
}

int idna_to_ascii(const char *name, size_t len, writer *out) {
    size_t start = 0;
    for (size_t i = 0; i <= len;) {
        size_t dot = i < len ? separator(name + i, len - i) : 0;
        if (i < len && dot == 0) {
            i++;
            continue;
        }
        int r = label_to_ascii(name + start, i - start, out);
        if (r != 0)
            return r;
        if (i == len)
            break;
        writer_u8(out, '.');
        i += dot;
        start = i;
    }
    return out->failed ? IROH_ERR_TOO_LARGE : 0;
}
