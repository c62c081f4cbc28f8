#include <stdio.h>

#include "cli.h"

int cmd_id(const cli_options *o) {
    iroh_secret_key key;
    iroh_public_key id;
    char hex[65];
    if (o->arg_count > 0) {
        cli_error("id takes no arguments");
        return EXIT_USAGE;
    }
    if (!cli_identity(o, &key))
        return EXIT_FAILED;
    iroh_secret_key_public(&key, &id);
    iroh_public_key_to_hex(&id, hex);
    if (o->json)
        printf("{\"id\":\"%s\"}\n", hex);
    else
        printf("%s\n", hex);
    return EXIT_OK;
}
