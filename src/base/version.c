// The version comes from CMakeLists.txt, so that it stands in one place.
#include <iroh/iroh.h>

const char *iroh_version(void) {
    return IROH_VERSION;
}
