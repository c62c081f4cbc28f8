// What an endpoint costs by itself: private memory of the process before and after binding, for the first one (which
// also pays for what libraries set up once) and for each of the next ones, in both modes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/iroh.h>

#define MORE 16

// Bytes of this process that are its own and not a file's, from the kernel's own sum; 0 where there is none. Pages of code
// are left out: they cost once for all programs, or nothing.
static long private_bytes(void) {
    char line[256];
    long kb, sum = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "Private_Dirty: %ld", &kb) == 1)
            sum += kb;
    }
    (void)fclose(f);
    return sum * 1024;
}

static iroh_endpoint *endpoint(bool own_thread) {
    static const char *const bind[] = {"127.0.0.1:0"};
    static const iroh_slice alpn = {.data = "bench/0", .len = 7};
    iroh_endpoint_config c;
    iroh_endpoint *ep;
    iroh_endpoint_config_default(&c);
    c.bind = bind;
    c.bind_count = 1;
    c.alpns = &alpn;
    c.alpn_count = 1;
    c.own_thread = own_thread;
    int r = iroh_endpoint_bind(&c, &ep);
    if (r == 0)
        return ep;
    (void)fprintf(stderr, "cannot bind: %s\n", iroh_strerror(r));
    exit(1);
}

static void measure(bool own_thread) {
    iroh_endpoint *all[MORE + 1];
    long before = private_bytes();
    all[0] = endpoint(own_thread);
    long first = private_bytes() - before;
    before = private_bytes();
    for (int i = 1; i <= MORE; i++)
        all[i] = endpoint(own_thread);
    long each = (private_bytes() - before) / MORE;
    printf("endpoint %s: first %ld KB, each further one %ld KB\n", own_thread ? "with a thread" : "without a thread",
           first / 1024, each / 1024);
    for (int i = 0; i <= MORE; i++)
        iroh_endpoint_free(all[i]);
}

int main(void) {
    printf("process: %ld KB private\n", private_bytes() / 1024);
    measure(false);
    measure(true);
    return 0;
}
