// A TOML document, as a tree and as the configuration of a relay. Every value must be reached by its key, and every error
// have its line and its reason.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>
#include <iroh/relay.h>

#include "base/toml.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const toml_value *v, unsigned depth) {
    require(depth <= 3 * TOML_DEPTH_MAX && v->kind >= TOML_TABLE && v->kind <= TOML_BOOLEAN && v->line > 0);
    require(v->kind != TOML_STRING || v->string != NULL);
    if (v->kind != TOML_TABLE && v->kind != TOML_ARRAY)
        return;
    for (const toml_value *inner = v->first; inner != NULL; inner = inner->next) {
        require((inner->key != NULL) == (v->kind == TOML_TABLE));
        require(v->kind != TOML_TABLE || toml_get(v, inner->key) == inner);
        require(inner->next != NULL || v->last == inner);
        check(inner, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    toml_value *root = NULL;
    toml_error error = {0};
    iroh_relay_file *file = NULL;
    char why[IROH_RELAY_WHY_SIZE];
    char *text = malloc(size + 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    int r = toml_parse(text, size, &root, &error);
    if (r == 0)
        check(root, 0);
    else
        require(root == NULL && error.why != NULL && error.line > 0);
    toml_free(root);
    int loaded = iroh_relay_file_parse(text, size, size % 2 == 1, NULL, &file, why);
    require(r == 0 || loaded == r);
    require(loaded == 0 || why[0] != '\0');
    if (loaded == 0)
        require(iroh_relay_file_config(file)->http_bind != NULL);
    iroh_relay_file_free(file);
    free(text);
    return 0;
}
